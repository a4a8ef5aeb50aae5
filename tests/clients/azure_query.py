"""Questions by Microsoft's own clients: `azure_query.py API CA TOKEN`.

azure-monitor-query and azure-kusto-data as published, told an address and a token, and nothing else. Each check prints its
name when it holds; the first that does not ends the program with 1."""
import datetime
import decimal
import os
import sys
import time

API, CA, TOKEN = sys.argv[1:4]
os.environ["REQUESTS_CA_BUNDLE"] = CA
os.environ["NO_PROXY"] = "localhost"

from azure.core.credentials import AccessToken  # noqa: E402
from azure.core.exceptions import HttpResponseError  # noqa: E402
from azure.kusto.data import ClientRequestProperties, KustoClient, KustoConnectionStringBuilder  # noqa: E402
from azure.kusto.data.exceptions import KustoApiError, KustoMultiApiError, KustoServiceError  # noqa: E402
from azure.monitor.query import LogsBatchQuery, LogsQueryClient, LogsQueryStatus  # noqa: E402

UTC = datetime.timezone.utc
TYPES = (
    "print s = 'ä\"', l = 9007199254740993, i = int(7), r = 1.5, b = true, t = datetime(2024-02-29T12:34:56.789Z), "
    "p = 1d + 2h, d = dynamic({'a': [1, 'x']}), g = guid(74be27de-1e4e-49d9-b579-fe0b331d3642), m = decimal(0.1), "
    "nl = long(null), nt = datetime(null), nan = real(nan)"
)


def holds(name, condition, seen=None):
    if not condition:
        print(f"does not hold: {name}: {seen!r}")
        sys.exit(1)
    print(name)


class Credential:
    def __init__(self, token):
        self.token = token

    def get_token(self, *scopes, **kwargs):
        return AccessToken(self.token, int(time.time()) + 3600)


def refused(kind, call):
    try:
        call()
    except kind as error:
        return error
    return None


def log_analytics():
    client = LogsQueryClient(Credential(TOKEN), endpoint=API)
    found = client.query_workspace("default", TYPES, timespan=None)
    holds("a query succeeds", found.status == LogsQueryStatus.SUCCESS, found)
    table = found.tables[0]
    row = dict(zip(table.columns, table.rows[0]))
    holds("column types arrive", list(table.columns_types) == ["string", "long", "int", "real", "bool", "datetime", "timespan",
                                                               "dynamic", "guid", "decimal", "long", "datetime", "real"],
          table.columns_types)
    holds("a string keeps its characters", row["s"] == 'ä"', row["s"])
    holds("a long beyond 2^53 keeps its digits", row["l"] == 9007199254740993, row["l"])
    holds("a datetime is one", row["t"] == datetime.datetime(2024, 2, 29, 12, 34, 56, 789000, tzinfo=UTC), row["t"])
    holds("a timespan is its text", row["p"] == "1.02:00:00", row["p"])
    holds("a dynamic is its JSON text", row["d"] == '{"a":[1,"x"]}', row["d"])
    holds("a decimal is exact", decimal.Decimal(row["m"]) == decimal.Decimal("0.1"), row["m"])
    holds("nulls are None, NaN its name", row["nl"] is None and row["nt"] is None and row["nan"] == "NaN", row)

    now = datetime.datetime.now(UTC)
    spans = [datetime.timedelta(hours=1), (now - datetime.timedelta(days=1), now), (now - datetime.timedelta(hours=1), datetime.timedelta(hours=2))]
    for span in spans:
        found = client.query_workspace("default", "Device | count", timespan=span)
        holds("a time span is understood", found.tables[0].rows[0][0] >= 0)
    found = client.query_workspace("default", "print a=1 | render piechart", timespan=None, include_statistics=True,
                                   include_visualization=True)
    holds("statistics come when asked for", found.statistics["query"]["executionTime"] >= 0, found.statistics)
    holds("visualization comes when asked for", found.visualization["visualization"] == "piechart", found.visualization)

    error = refused(HttpResponseError, lambda: client.query_workspace("default", "Device | where Nope == 1", timespan=None))
    holds("an unknown column is told with its place", error and error.status_code == 400 and "Nope" in str(error) and
          "column 16" in str(error), str(error))
    error = refused(HttpResponseError, lambda: client.query_workspace("default", "Device | whera x", timespan=None))
    holds("broken syntax is told", error and error.response.json()["error"]["innererror"]["code"] == "SyntaxError", str(error))
    error = refused(HttpResponseError, lambda: client.query_workspace("no-such-place", "print 1", timespan=None))
    holds("an unknown workspace is not found", error and error.status_code == 404, str(error))
    stranger = LogsQueryClient(Credential("pkt_aaaaaaaa_" + "A" * 43), endpoint=API)
    error = refused(HttpResponseError, lambda: stranger.query_workspace("default", "print 1", timespan=None))
    holds("a stranger's token is refused", error and error.status_code == 401, str(error))

    found = client.query_workspace("default", "range x from 1 to 150000 step 1", timespan=None)
    holds("too many rows are a partial answer", found.status == LogsQueryStatus.PARTIAL and len(found.partial_data[0].rows) == 100000 and
          "100000 rows" in found.partial_error.message, getattr(found, "partial_error", found))
    impatient = LogsQueryClient(Credential(TOKEN), endpoint=API, retry_total=0)
    begun = time.time()
    error = refused(HttpResponseError, lambda: impatient.query_workspace(
        "default", "range x from 1 to 1000000000 step 1 | summarize sum(x % 7)", timespan=None, server_timeout=1))
    holds("a query past its time is stopped with 504", error and error.status_code == 504 and time.time() - begun < 10, str(error))

    answers = client.query_batch([
        LogsBatchQuery(workspace_id="default", query="print a=1", timespan=None),
        LogsBatchQuery(workspace_id="default", query="nonsense |", timespan=None),
        LogsBatchQuery(workspace_id="default", query="print b=dynamic([1])", timespan=datetime.timedelta(days=1)),
    ])
    holds("a batch answers each by itself",
          [a.status for a in answers] == [LogsQueryStatus.SUCCESS, LogsQueryStatus.FAILURE, LogsQueryStatus.SUCCESS],
          [a.status for a in answers])
    versioned = LogsQueryClient(Credential(TOKEN), endpoint=API.rstrip("/"))
    holds("the answer is the same a second time", versioned.query_workspace("default", "print 1", timespan=None).tables[0].rows[0][0] == 1)


def kusto():
    builder = KustoConnectionStringBuilder.with_aad_application_token_authentication(API, TOKEN)
    client = KustoClient(builder)
    answer = client.execute("default", TYPES)
    row = answer.primary_results[0][0]
    holds("kusto: a long beyond 2^53 keeps its digits", row["l"] == 9007199254740993, row["l"])
    holds("kusto: a datetime is one", row["t"] == datetime.datetime(2024, 2, 29, 12, 34, 56, 789000, tzinfo=UTC), row["t"])
    holds("kusto: a timespan is one", row["p"] == datetime.timedelta(days=1, hours=2), row["p"])
    holds("kusto: a dynamic is its value", row["d"] == {"a": [1, "x"]}, row["d"])
    holds("kusto: a decimal is exact", row["m"] == decimal.Decimal("0.1"), row["m"])
    holds("kusto: nulls are None", row["nl"] is None and row["nt"] is None, row.to_dict())
    holds("kusto: column types arrive", [c.column_type for c in answer.primary_results[0].columns][:5] ==
          ["string", "long", "int", "real", "bool"])
    answer = client.execute("default", "print a=1; print b=2")
    holds("kusto: two queries give two results", [t[0][0] for t in answer.primary_results] == [1, 2])

    properties = ClientRequestProperties()
    properties.set_parameter("name", "it's")
    properties.set_parameter("many", 9007199254740993)
    properties.set_parameter("when", "datetime(2024-01-01)")
    answer = client.execute("default", "declare query_parameters(name:string, many:long, when:datetime); print name, many, when",
                            properties)
    row = answer.primary_results[0][0]
    holds("kusto: parameters arrive", (row[0], row[1], row[2]) ==
          ("it's", 9007199254740993, datetime.datetime(2024, 1, 1, tzinfo=UTC)), row.to_list())

    error = refused(KustoServiceError, lambda: client.execute("default", "Device | where Nope == 1"))
    holds("kusto: a semantic error is one", error and error.is_semantic_error() and "Nope" in str(error), str(error))
    error = refused((KustoMultiApiError, KustoServiceError), lambda: client.execute("default", "range x from 1 to 150000 step 1"))
    holds("kusto: too many rows are an error", error and "E_QUERY_RESULT_SET_TOO_LARGE" in str(error), str(error))
    properties = ClientRequestProperties()
    properties.set_option(ClientRequestProperties.request_timeout_option_name, datetime.timedelta(seconds=1))
    error = refused((KustoApiError, KustoServiceError), lambda: client.execute(
        "default", "range x from 1 to 1000000000 step 1 | summarize sum(x % 7)", properties))
    holds("kusto: a query past its time is stopped", error is not None, str(error))

    tables = [row["TableName"] for row in client.execute_mgmt("default", ".show tables").primary_results[0]]
    holds("kusto: tables are listed", "SecurityIoTRawEvent" in tables and "SecurityAlert" in tables, tables)
    client.execute_mgmt("default", ".create-or-alter function with (docstring='d', folder='f') Doubled(T:(x:long), factor:long=2) { T | extend y = x * factor }")
    row = client.execute("default", "Doubled((print x=21))").primary_results[0][0]
    holds("kusto: a saved function is called", row["y"] == 42, row.to_dict())
    names = [row["Name"] for row in client.execute_mgmt("default", ".show functions").primary_results[0]]
    holds("kusto: functions are listed", "Doubled" in names, names)
    client.execute_mgmt("default", ".drop function Doubled")
    error = refused(KustoServiceError, lambda: client.execute("default", "Doubled((print x=21))"))
    holds("kusto: and gone once dropped", error is not None)
    for command in (".show databases", ".show version", ".show schema", ".show database default schema as json", ".show queries",
                    ".show table Device cslschema", ".show cluster"):
        holds(f"kusto: {command}", len(client.execute_mgmt("default", command).primary_results[0]) >= (0 if "queries" in command else 1))
    client.execute_mgmt("default", ".create table Visits_CL (TimeGenerated:datetime, Who:string, Count:long)")
    holds("kusto: a table of one's own is there", client.execute("default", "Visits_CL | count").primary_results[0][0][0] == 0)


log_analytics()
kusto()
print("all checks hold")
