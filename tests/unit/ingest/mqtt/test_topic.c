#include "ingest/mqtt/topic.h"

#include <jansson.h>
#include <string.h>

#include "runtime/buf.h"
#include "tests/support/check_main.h"

/* IoT Hub's topics as the SDKs write them, in every escaping and case that they have. */
static const struct identity device = {1, {"d1", 2}, {"", 0}};
static const struct identity odd = {1, {"a+b%c#d", 7}, {"", 0}};
static const struct identity module = {1, {"d1", 2}, {"sec", 3}};
static struct topic topic;

static enum topic_kind kind_for(const char *text, const struct identity *identity, bool enrolment)
{
    topic_read(text_of(text), identity, enrolment, &topic);
    return topic.kind;
}

START_TEST(telemetry_is_for_ones_own_topic)
{
    static const char *const own[] = {"devices/d1/messages/events", "devices/d1/messages/events/", "devices/%64%31/messages/events/",
                                      "devices/d1/messages/events/a=b"};
    static const char *const foreign[] = {
        "", "devices", "devices/d1", "devices/d2/messages/events/", "devices/D1/messages/events/", "devices/d1/messages/eventsx",
        "devices/d1/messages/devicebound/", "devices/d1/modules/sec/messages/events/", "/devices/d1/messages/events/",
        "Devices/d1/messages/events/", "devices/d1//messages/events/", "devices/%6431/messages/events/", "$dps/registrations/PUT/iotdps-register/?$rid=1",
    };

    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        ck_assert_msg(kind_for(own[i], &device, false) == TOPIC_EVENTS, "%s", own[i]);
    for (size_t i = 0; i < sizeof foreign / sizeof *foreign; i++)
        ck_assert_msg(kind_for(foreign[i], &device, false) == TOPIC_FOREIGN, "%s", foreign[i]);
    ck_assert_int_eq(kind_for("devices/d1/modules/sec/messages/events/", &module, false), TOPIC_EVENTS);
    ck_assert_int_eq(kind_for("devices/d1/messages/events/", &module, false), TOPIC_FOREIGN);
    ck_assert_int_eq(kind_for("devices/a+b%c#d/messages/events/", &odd, false), TOPIC_EVENTS);
    ck_assert_int_eq(kind_for("devices/a%2Bb%25c%23d/messages/events/", &odd, false), TOPIC_EVENTS);
    ck_assert_int_eq(kind_for("devices/a%2bb%25c%23d/messages/events/x", &odd, false), TOPIC_EVENTS);
}
END_TEST

START_TEST(twin_and_methods_have_their_numbers)
{
    ck_assert_int_eq(kind_for("$iothub/twin/GET/?$rid=42", &device, false), TOPIC_TWIN_GET);
    ck_assert(text_equal(topic.request, TEXT("42")));
    ck_assert_int_eq(kind_for("$iothub/twin/GET/", &device, false), TOPIC_TWIN_GET);
    ck_assert_uint_eq(topic.request.count, 0);
    ck_assert_int_eq(kind_for("$iothub/twin/PATCH/properties/reported/?$rid=7e-a&$version=3", &module, false), TOPIC_TWIN_REPORTED);
    ck_assert(text_equal(topic.request, TEXT("7e-a")));
    ck_assert_int_eq(kind_for("$iothub/methods/res/-1/?$rid=9", &device, false), TOPIC_METHOD_RESULT);
    ck_assert_int_eq(topic.status, -1);
    ck_assert(text_equal(topic.request, TEXT("9")));
    ck_assert_int_eq(kind_for("$iothub/methods/res/ok/?$rid=9", &device, false), TOPIC_FOREIGN);
    ck_assert_int_eq(kind_for("$iothub/methods/res/200", &device, false), TOPIC_FOREIGN);
    ck_assert_int_eq(kind_for("$iothub/twin/PATCH/properties/desired/?$rid=1", &device, false), TOPIC_FOREIGN);
}
END_TEST

START_TEST(enrolment_has_topics_of_its_own)
{
    ck_assert_int_eq(kind_for("$dps/registrations/PUT/iotdps-register/?$rid=1", &device, true), TOPIC_REGISTER);
    ck_assert(text_equal(topic.request, TEXT("1")));
    ck_assert_int_eq(kind_for("$dps/registrations/GET/iotdps-get-operationstatus/?$rid=2&operationId=5.a.b", &device, true),
                     TOPIC_OPERATION);
    ck_assert(text_equal(topic.operation, TEXT("5.a.b")));
    ck_assert_int_eq(kind_for("devices/d1/messages/events/", &device, true), TOPIC_FOREIGN);
    ck_assert_int_eq(kind_for("$iothub/twin/GET/?$rid=1", &device, true), TOPIC_FOREIGN);
}
END_TEST

START_TEST(filters_are_only_those_of_the_identity)
{
    static const struct {
        const char *filter;
        uint32_t device, module, enrolment;
    } cases[] = {
        {"devices/d1/messages/devicebound/#", PRESENCE_CLOUD_MESSAGES, 0, 0},
        {"devices/%64%31/messages/devicebound/#", PRESENCE_CLOUD_MESSAGES, 0, 0},
        {"devices/d2/messages/devicebound/#", 0, 0, 0},
        {"devices/+/messages/devicebound/#", 0, 0, 0},
        {"devices/d1/#", 0, 0, 0},
        {"#", 0, 0, 0},
        {"devices/d1/modules/sec/#", 0, PRESENCE_MODULE_INPUTS, 0},
        {"devices/d1/modules/sec/inputs/#", 0, PRESENCE_MODULE_INPUTS, 0},
        {"devices/d1/modules/other/#", 0, 0, 0},
        {"$iothub/methods/POST/#", PRESENCE_METHODS, PRESENCE_METHODS, 0},
        {"$iothub/twin/res/#", PRESENCE_TWIN_REPLIES, PRESENCE_TWIN_REPLIES, 0},
        {"$iothub/twin/PATCH/properties/desired/#", PRESENCE_DESIRED, PRESENCE_DESIRED, 0},
        {"$iothub/#", 0, 0, 0},
        {"$dps/registrations/res/#", 0, 0, PRESENCE_ENROLMENT_REPLIES},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct text filter = text_of(cases[i].filter);
        ck_assert_msg(topic_filter(filter, &device, false) == cases[i].device, "%s", cases[i].filter);
        ck_assert_msg(topic_filter(filter, &module, false) == cases[i].module, "%s", cases[i].filter);
        ck_assert_msg(topic_filter(filter, &device, true) == cases[i].enrolment, "%s", cases[i].filter);
    }
}
END_TEST

/* The members of a bag, compact and sorted; NULL when it is too much. */
static const char *bag_of(const char *bag, struct topic_bag *found)
{
    static char room[8192], object[4096], sorted[4096];
    struct picket_json_writer writer;

    picket_json_write_init(&writer, object, sizeof object);
    picket_json_open_object(&writer);
    topic_bag_read(text_of(bag), room, &writer, found);
    picket_json_close_object(&writer);
    size_t count = picket_json_written(&writer);
    if (!count)
        return NULL;
    json_t *json = json_loadb(object, count, JSON_REJECT_DUPLICATES, NULL);
    ck_assert_ptr_nonnull(json);
    size_t length = json_dumpb(json, sorted, sizeof sorted - 1, JSON_COMPACT | JSON_SORT_KEYS);
    sorted[length] = 0;
    json_decref(json);
    return sorted;
}

START_TEST(bags_of_every_sdk_are_read)
{
    struct topic_bag bag;
    static const char *const ifids[] = {
        "%24.ifid=urn%3aazureiot%3aSecurity%3aSecurityAgent%3a1",   /* C: lower-case hex */
        "%24.ifid=urn%3Aazureiot%3ASecurity%3ASecurityAgent%3A1",   /* Python, Node, RTOS */
        "$.ifid=urn:azureiot:Security:SecurityAgent:1",             /* Java */
        "$.ifid=urn%3Aazureiot%3ASecurity%3ASecurityAgent%3A1",
    };

    for (size_t i = 0; i < sizeof ifids / sizeof *ifids; i++)
        ck_assert_str_eq(bag_of(ifids[i], &bag), "{\"$.ifid\":\"urn:azureiot:Security:SecurityAgent:1\"}");
    ck_assert_str_eq(bag_of("%24.mid=m%201&%24.ct=application%2Fjson&%24.ce=utf-8&mti=2.3-1-0-0&a%20b=c%26d", &bag),
                     "{\"$.ce\":\"utf-8\",\"$.ct\":\"application/json\",\"$.mid\":\"m 1\",\"a b\":\"c&d\",\"mti\":\"2.3-1-0-0\"}");
    ck_assert(text_equal(bag.message_id, TEXT("m 1")) && text_equal(bag.content_type, TEXT("application/json")));
    ck_assert(text_equal(bag.content_encoding, TEXT("utf-8")) && text_equal(bag.indicator, TEXT("2.3-1-0-0")));
}
END_TEST

START_TEST(odd_bags_are_taken_as_far_as_they_go)
{
    struct topic_bag bag;

    ck_assert_str_eq(bag_of("", &bag), "{}");
    ck_assert(!bag.any);
    ck_assert_str_eq(bag_of("&&a&b=&=c&d=1=2", &bag), "{\"\":\"c\",\"a\":\"\",\"b\":\"\",\"d\":\"1=2\"}");
    ck_assert_str_eq(bag_of("a=%zz&b=100%&c=%4", &bag), "{\"a\":\"%zz\",\"b\":\"100%\",\"c\":\"%4\"}");
    ck_assert_str_eq(bag_of("a=1&b=2&%61=3", &bag), "{\"a\":\"3\",\"b\":\"2\"}");
    ck_assert_str_eq(bag_of("a+b=c+d", &bag), "{\"a+b\":\"c+d\"}"); /* a plus is a plus */
    char many[4096] = "";
    for (int i = 0; i < 300; i++)
        snprintf(many + strlen(many), sizeof many - strlen(many), "k%d=v&", i);
    ck_assert_ptr_null(bag_of(many, &bag));
}
END_TEST

START_TEST(what_is_added_to_a_bag_is_read_again)
{
    struct topic_bag bag;
    struct buf text;
    bool first = true;

    buf_init(&text, 1000);
    topic_bag_add(&text, &first, TEXT("$.to"), TEXT("/devices/d1/messages/deviceBound"));
    topic_bag_add(&text, &first, TEXT("a&b=c %"), TEXT("ä/\"?#+"));
    ck_assert_ptr_null(strpbrk(text.bytes, "\"?# +"));
    ck_assert_str_eq(bag_of(text.bytes, &bag), "{\"$.to\":\"/devices/d1/messages/deviceBound\",\"a&b=c %\":\"ä/\\\"?#+\"}");
    buf_done(&text);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        telemetry_is_for_ones_own_topic,
        twin_and_methods_have_their_numbers,
        enrolment_has_topics_of_its_own,
        filters_are_only_those_of_the_identity,
        bags_of_every_sdk_are_read,
        odd_bags_are_taken_as_far_as_they_go,
        what_is_added_to_a_bag_is_read_again,
    };
    return CHECK_MAIN("ingest/mqtt/topic", tests);
}
