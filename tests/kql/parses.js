// Whether Microsoft's own parser takes each query of a .jsonl file ({"id","query"} a line): prints {"id","accepted"} a line.
"use strict";
const fs = require("fs");
const path = require("path");
const root = path.join(__dirname, "..", "..", "build", "node", "node_modules", "@kusto", "language-service-next");

require(path.join(root, "bridge.min.js"));
require(path.join(root, "Kusto.Language.Bridge.min.js"));
const KustoCode = Kusto.Language.KustoCode;

for (const line of fs.readFileSync(process.argv[2], "utf8").split("\n")) {
    if (!line.trim())
        continue;
    const { id, query } = JSON.parse(line);
    const found = KustoCode.Parse(query).GetDiagnostics();
    let accepted = true;
    for (let i = 0; i < found.Count; i++)
        if (found.getItem(i).Severity === "Error")
            accepted = false;
    console.log(JSON.stringify({ id, accepted }));
}
