#include "agent/http_answer.h"

#include <string.h>

#include "tests/support/check_main.h"

static struct http_answer answer;

static bool read_head(const char *head)
{
    memset(&answer, 0xaa, sizeof answer);
    return http_answer_read(head, strlen(head), &answer);
}

START_TEST(a_head_ends_with_its_empty_line)
{
    static const char text[] = "HTTP/1.1 204 No Content\r\nPicket-Receipt: direct/0@7\r\n\r\nHTTP";

    for (size_t count = 0; count < sizeof text - 5; count++)
        ck_assert_uint_eq(http_answer_head(text, count), 0);
    ck_assert_uint_eq(http_answer_head(text, sizeof text - 1), sizeof text - 5);
}
END_TEST

START_TEST(an_answer_without_a_body_leaves_the_connection_open)
{
    ck_assert(read_head("HTTP/1.1 204 No Content\r\nPicket-Receipt: direct/0@7\r\n\r\n"));
    ck_assert_uint_eq(answer.code, 204);
    ck_assert(answer.body_known);
    ck_assert_uint_eq(answer.body_count, 0);
    ck_assert(!answer.close);
    ck_assert_uint_eq(answer.retry_after_s, 0);
}
END_TEST

START_TEST(fields_are_read_whatever_their_case_and_blanks)
{
    ck_assert(read_head("HTTP/1.1 503 Busy\r\ncontent-LENGTH:\t 17 \r\nRETRY-after:30\r\nConnection: Keep-Alive, Close\r\n\r\n"));
    ck_assert_uint_eq(answer.code, 503);
    ck_assert(answer.body_known);
    ck_assert_uint_eq(answer.body_count, 17);
    ck_assert_uint_eq(answer.retry_after_s, 30);
    ck_assert(answer.close);
}
END_TEST

START_TEST(what_cannot_be_skipped_closes_the_connection)
{
    ck_assert(read_head("HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n"));
    ck_assert(answer.close);
    ck_assert(read_head("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"));
    ck_assert(answer.close);
    ck_assert(read_head("HTTP/1.1 200 OK\r\n\r\n"));
    ck_assert(!answer.body_known);
    ck_assert(read_head("HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n"));
    ck_assert(!answer.body_known);
}
END_TEST

START_TEST(a_date_or_a_mad_number_to_wait_is_bounded)
{
    ck_assert(read_head("HTTP/1.1 503 Busy\r\nRetry-After: Wed, 21 Oct 2015 07:28:00 GMT\r\n\r\n"));
    ck_assert_uint_eq(answer.retry_after_s, 0);
    ck_assert(read_head("HTTP/1.1 503 Busy\r\nRetry-After: 99999999999\r\n\r\n"));
    ck_assert_uint_eq(answer.retry_after_s, UINT32_MAX);
}
END_TEST

START_TEST(what_is_no_http_answer_is_told)
{
    static const char *const wrong[] = {
        "",
        "HTTP/1.1 20\r\n\r\n",
        "HTTP/1.1 2x4 No\r\n\r\n",
        "HTTP/1.1 099 No\r\n\r\n",
        "HTTP/1.1 2044 No\r\n\r\n",
        "HTTP/2.0 204 No\r\n\r\n",
        "SSH-2.0-OpenSSH_9.2p1\r\n\r\n",
        "220 mail.example ESMTP\r\n\r\n",
    };

    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        ck_assert_msg(!read_head(wrong[i]), "%s", wrong[i]);
    ck_assert(read_head("HTTP/1.1 204\r\n\r\n"));
}
END_TEST

START_TEST(only_a_word_about_the_message_refuses_it)
{
    static const unsigned done[] = {200, 202, 204}, refused[] = {400, 413, 415, 422, 431};
    static const unsigned later[] = {100, 301, 302, 308, 401, 403, 404, 405, 407, 408, 421, 425, 426, 429, 500, 502, 503, 504};

    for (size_t i = 0; i < sizeof done / sizeof *done; i++)
        ck_assert_int_eq(http_answer_status(done[i]), PICKET_SEND_DONE);
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
        ck_assert_int_eq(http_answer_status(refused[i]), PICKET_SEND_REFUSED);
    for (size_t i = 0; i < sizeof later / sizeof *later; i++)
        ck_assert_msg(http_answer_status(later[i]) == PICKET_SEND_LATER, "%u", later[i]);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        a_head_ends_with_its_empty_line,
        an_answer_without_a_body_leaves_the_connection_open,
        fields_are_read_whatever_their_case_and_blanks,
        what_cannot_be_skipped_closes_the_connection,
        a_date_or_a_mad_number_to_wait_is_bounded,
        what_is_no_http_answer_is_told,
        only_a_word_about_the_message_refuses_it,
    };

    return CHECK_MAIN("agent/http_answer", tests);
}
