#include "agent/socket_table.h"

#include "tests/support/check_main.h"
#include "tests/unit/agent/sockets.h"

static struct socket_row row;

static const char *address(const uint8_t bytes[SOCKET_ADDRESS_BYTES])
{
    static char text[SOCKET_ADDRESS_SIZE];

    socket_address_print(bytes, text);
    return text;
}

static bool read_row(enum socket_table table, const char *line)
{
    return socket_row_read(table, line, strlen(line), &row);
}

START_TEST(addresses_of_both_families_are_read)
{
    ck_assert(read_row(SOCKET_TCP, ROW("0A0200C0:D431", "076433C6:0050", "01", "1000", "77")));
    ck_assert_str_eq(address(row.local), "192.0.2.10");
    ck_assert_uint_eq(row.local_port, 54321);
    ck_assert_str_eq(address(row.remote), "198.51.100.7");
    ck_assert_uint_eq(row.remote_port, 80);
    ck_assert_uint_eq(row.state, 1);
    ck_assert_uint_eq(row.user, 1000);
    ck_assert_uint_eq(row.inode, 77);
    ck_assert(read_row(SOCKET_TCP6, ROW(GLOBAL6 ":01BB", "00000000000000000000000001000000:FFFF", "01", "0", "78")));
    ck_assert_str_eq(address(row.local), "2001:db8::1");
    ck_assert_str_eq(address(row.remote), "::1");
    ck_assert_uint_eq(row.remote_port, 65535);
    ck_assert(read_row(SOCKET_TCP6, ROW(MAPPED ":0016", MAPPED ":0017", "01", "0", "79")));
    ck_assert_str_eq(address(row.local), "192.0.2.10");
    ck_assert(read_row(SOCKET_TCP6, ROW("00000000000000000000000000000000:0016", ANY6, "0A", "0", "80")));
    ck_assert_str_eq(address(row.local), "::");
}
END_TEST

START_TEST(what_is_no_row_is_told)
{
    static const char *const wrong[] = {
        "",
        "\n",
        HEADING,
        "   0: 0100007F:0016",
        ROW("0100007F", "00000000:0000", "0A", "0", "5"),
        ROW("0100007G:0016", "00000000:0000", "0A", "0", "5"),
        ROW("0100007F0:0016", "00000000:0000", "0A", "0", "5"),
        ROW("0100007F:10000", "00000000:0000", "0A", "0", "5"),
        ROW("0100007F:0016", "00000000:0000", "XX", "0", "5"),
        ROW("0100007F:0016", "00000000:0000", "0A", "-1", "5"),
        ROW("0100007F:0016", "00000000:0000", "0A", "0", "x"),
        ROW("0100007F:", "00000000:0000", "0A", "0", "5"),
    };

    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        ck_assert_msg(!read_row(SOCKET_TCP, wrong[i]), "%s", wrong[i]);
    static const char right[] = ROW("0100007F:0016", "00000000:0000", "0A", "0", "5");
    size_t count = 0;
    while (count < sizeof right && !socket_row_read(SOCKET_TCP, right, count, &row))
        count++;
    ck_assert_msg(right[count - 1] == '5', "cut at %zu it was taken", count);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        addresses_of_both_families_are_read,
        what_is_no_row_is_told,
    };

    return check_main(&(const struct check_suite){
        .name = "agent/socket_table",
        .tests = tests,
        .count = sizeof tests / sizeof *tests,
        .timeout_seconds = 60,
    });
}
