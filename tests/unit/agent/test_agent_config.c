#include "agent/agent_config.h"

#include "tests/support/check_main.h"
#include "tests/unit/agent/root_folder.h"

#define KEY "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
#define CONNECTION "HostName=hub.example:8443;DeviceId=dev-1;SharedAccessKey=" KEY

static struct agent_config config;
static struct reason why;

static bool read_text(const char *text)
{
    return agent_config_read(text, strlen(text), "agent.conf", &config, &why);
}

START_TEST(an_empty_file_is_the_defaults)
{
    ck_assert(read_text(""));
    ck_assert_str_eq(config.connection_string, "");
    ck_assert_str_eq(config.spool_folder, "/var/lib/picket-agent");
    ck_assert_int_eq(config.spool_bytes, 10485760);
    ck_assert_int_eq(config.process_interval_s, 5);
    ck_assert_int_eq(config.socket_interval_s, 15);
    ck_assert_int_eq(config.login_interval_s, 15);
    ck_assert_int_eq(config.snapshot_interval_s, 3600);
    ck_assert_int_eq(config.send_interval_s, 30);
}
END_TEST

START_TEST(lines_are_read_with_blanks_comments_and_line_ends_of_any_kind)
{
    ck_assert_msg(read_text("# a comment\r\n\r\n  connection_string = " CONNECTION "  \r\n"
                            "ca_file /etc/ca.pem\n\tspool_folder=/var/spool/with blanks\nsend_interval_s=1"),
                  "%s", why.text);
    ck_assert_str_eq(config.connection_string, CONNECTION);
    ck_assert_str_eq(config.credential.device, "dev-1");
    ck_assert_uint_eq(config.credential.port, 8443);
    ck_assert_str_eq(config.ca_file, "/etc/ca.pem");
    ck_assert_str_eq(config.spool_folder, "/var/spool/with blanks");
    ck_assert_int_eq(config.send_interval_s, 1);
}
END_TEST

START_TEST(what_is_wrong_is_told_with_its_line_and_leaves_the_output_alone)
{
    static const struct {
        const char *text, *reason;
    } wrong[] = {
        {"\n\nspool_byte = 5\n", "agent.conf:3: unknown key spool_byte"},
        {"ca_file = a\nca_file = b\n", "agent.conf:2: ca_file is set a second time"},
        {"send_interval_s = 0\n", "agent.conf:1: send_interval_s is a number from 1 to"},
        {"send_interval_s = 30s\n", "is a number from"},
        {"send_interval_s = -1\n", "is a number from"},
        {"send_interval_s = 99999999999999999999\n", "is a number from"},
        {"spool_bytes = 1000\n", "is a number from 1048576"},
        {"send_interval_s\n", "is a number from"},
        {"ca_file =\n", "ca_file has no value"},
        {"connection_string = HostName=h\n", "agent.conf:1: the connection string has no DeviceId"},
    };

    ck_assert(read_text("send_interval_s = 7\n"));
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        ck_assert_msg(!read_text(wrong[i].text), "%s", wrong[i].text);
        ck_assert_msg(strstr(why.text, wrong[i].reason) != NULL, "%s: %s", wrong[i].text, why.text);
        ck_assert_int_eq(config.send_interval_s, 7);
    }
}
END_TEST

START_TEST(a_value_longer_than_its_place_or_with_a_nul_is_refused)
{
    static char text[FILE_PATH_SIZE + 64] = "ca_file = ";

    memset(text + 10, 'x', FILE_PATH_SIZE);
    ck_assert(!read_text(text));
    ck_assert_ptr_nonnull(strstr(why.text, "longer than 4095"));
    text[10 + FILE_PATH_SIZE - 1] = '\0';
    ck_assert(read_text(text));
    ck_assert(!agent_config_read("ca_file = a\0b", 13, "agent.conf", &config, &why));
    ck_assert_ptr_nonnull(strstr(why.text, "NUL"));
}
END_TEST

START_TEST(a_file_that_cannot_be_read_is_told)
{
    char path[512];

    root_make();
    snprintf(path, sizeof path, "%s", root_path("/agent.conf"));
    ck_assert(!agent_config_load(path, &config, &why));
    ck_assert_ptr_nonnull(strstr(why.text, path));
    root_write("/agent.conf", "send_interval_s = 9\n");
    ck_assert(agent_config_load(path, &config, &why));
    ck_assert_int_eq(config.send_interval_s, 9);
    ck_assert(!agent_config_load(root, &config, &why));
    static char long_text[70000];
    memset(long_text, '#', sizeof long_text);
    root_write_bytes("/agent.conf", long_text, sizeof long_text);
    ck_assert(!agent_config_load(path, &config, &why));
    ck_assert_ptr_nonnull(strstr(why.text, "longer than a configuration is"));
    root_remove();
}
END_TEST

START_TEST(what_sending_needs_is_asked_for_one_by_one)
{
    char text[1024];

    root_make();
    ck_assert(read_text(""));
    ck_assert(!agent_config_complete(&config, "agent.conf", &why));
    ck_assert_ptr_nonnull(strstr(why.text, "connection_string"));
    ck_assert(read_text("connection_string = " CONNECTION "\n"));
    ck_assert(!agent_config_complete(&config, "agent.conf", &why));
    ck_assert_ptr_nonnull(strstr(why.text, "ca_file"));
    snprintf(text, sizeof text, "connection_string = " CONNECTION "\nca_file = %s/ca.pem\n", root);
    ck_assert(read_text(text));
    ck_assert(!agent_config_complete(&config, "agent.conf", &why));
    ck_assert_ptr_nonnull(strstr(why.text, "cannot be read"));
    root_write("/ca.pem", "x");
    ck_assert_msg(agent_config_complete(&config, "agent.conf", &why), "%s", why.text);
    root_remove();
}
END_TEST

START_TEST(the_printed_configuration_hides_the_key_and_reads_back)
{
    static char text[AGENT_CONFIG_PRINT_SIZE];
    struct agent_config again;

    ck_assert(read_text("connection_string = " CONNECTION "\nca_file = /etc/ca.pem\nspool_bytes = 2000000\n"));
    agent_config_print(&config, text);
    ck_assert_ptr_null(strstr(text, "AAECAw"));
    ck_assert_ptr_nonnull(strstr(text, "DeviceId=dev-1;SharedAccessKey=(hidden)\n"));
    ck_assert_ptr_nonnull(strstr(text, "\nspool_bytes = 2000000\n"));
    ck_assert(read_text("ca_file = /etc/ca.pem\n"));
    agent_config_print(&config, text);
    ck_assert_ptr_nonnull(strstr(text, "\n#connection_string = \n"));
    ck_assert_msg(agent_config_read(text, strlen(text), "printed", &again, &why), "%s", why.text);
    ck_assert_mem_eq(&again, &config, sizeof config);
}
END_TEST

START_TEST(a_certificate_goes_with_its_key_and_a_proxys_login_is_hidden)
{
    static char text[AGENT_CONFIG_PRINT_SIZE];
    static const char *const halves[] = {"connection_string = HostName=h;DeviceId=d;x509=true\n", "connection_string = HostName=h;DeviceId=d;x509=true\ncertificate_file = /c\n",
                                         "connection_string = " CONNECTION "\ncertificate_file = /c\nkey_file = /k\n"};

    root_make();
    root_write("/ca.pem", "x");
    for (size_t i = 0; i < sizeof halves / sizeof *halves; i++) {
        snprintf(text, sizeof text, "%sca_file = %s/ca.pem\n", halves[i], root);
        ck_assert(read_text(text));
        ck_assert(!agent_config_complete(&config, "agent.conf", &why));
        ck_assert_ptr_nonnull(strstr(why.text, "a certificate goes with its key"));
    }
    ck_assert(read_text("proxy = http://ada:secret@proxy.example:3128\n"));
    agent_config_print(&config, text);
    ck_assert_ptr_null(strstr(text, "secret"));
    ck_assert_ptr_nonnull(strstr(text, "proxy = http://(hidden)\n"));
    root_remove();
}
END_TEST

START_TEST(the_longest_configuration_is_printed_whole)
{
    static char text[AGENT_CONFIG_PRINT_SIZE];

    ck_assert(read_text("send_interval_s = 31622400\n"));
    memset(config.connection_string, 'c', sizeof config.connection_string - 1);
    memset(config.ca_file, 'a', sizeof config.ca_file - 1);
    memset(config.spool_folder, 's', sizeof config.spool_folder - 1);
    memset(config.certificate_file, 'f', sizeof config.certificate_file - 1);
    memset(config.key_file, 'k', sizeof config.key_file - 1);
    memset(config.proxy, 'p', sizeof config.proxy - 1);
    agent_config_print(&config, text);
    ck_assert_ptr_nonnull(strstr(text, "\nsend_interval_s = 31622400\n"));
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        an_empty_file_is_the_defaults,
        lines_are_read_with_blanks_comments_and_line_ends_of_any_kind,
        what_is_wrong_is_told_with_its_line_and_leaves_the_output_alone,
        a_value_longer_than_its_place_or_with_a_nul_is_refused,
        a_file_that_cannot_be_read_is_told,
        what_sending_needs_is_asked_for_one_by_one,
        the_printed_configuration_hides_the_key_and_reads_back,
        a_certificate_goes_with_its_key_and_a_proxys_login_is_hidden,
        the_longest_configuration_is_printed_whole,
    };

    return CHECK_MAIN("agent/agent_config", tests);
}
