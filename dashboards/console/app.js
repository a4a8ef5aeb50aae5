import * as api from "/console/api.js";

const REFRESH_MS = 3000;
const PAGE = 100;
const ROWS_MAX = 1000; /* what a person may scroll through; the API and `picket events --all` have the rest */

const $ = (id) => document.getElementById(id);
const state = {
  signedIn: false,
  timer: 0,
  round: 0, /* answers of an earlier round than the newest question are thrown away */
  devices: { limit: PAGE },
  events: { limit: PAGE, open: new Set() },
  device: null,
};

/* Small builders: content always goes in as text, so nothing that a device sent becomes markup. */
function element(tag, className, ...children) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  made.append(...children);
  return made;
}

const count = (number) => Number(number ?? 0).toLocaleString("en");

function moment(text) {
  if (!text) return "never";
  const seconds = Math.round((Date.now() - Date.parse(text)) / 1000);
  if (seconds < 5) return "now";
  if (seconds < 90) return `${seconds} s ago`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min ago`;
  if (seconds < 129600) return `${Math.round(seconds / 3600)} h ago`;
  return `${Math.round(seconds / 86400)} days ago`;
}

function timeCell(text, relative) {
  const cell = element("td", "", relative ? moment(text) : new Date(text).toLocaleString("sv-SE"));
  if (text) cell.title = text;
  return cell;
}

function emptyRow(columns, sentence) {
  const cell = element("td", "empty", sentence);
  cell.colSpan = columns;
  return element("tr", "", cell);
}

/* Signing in */

function showSignIn(message) {
  state.signedIn = false;
  clearTimeout(state.timer);
  $("console").hidden = true;
  $("sign-in").hidden = false;
  $("sign-in-error").textContent = message ?? "";
  $("token").focus();
}

async function enter(token) {
  try {
    await api.signIn(token);
  } catch (refused) {
    showSignIn(refused.message);
    return;
  }
  $("token").value = "";
  await start();
}

/* A link from `picket up` carries the token behind '#', which browsers send to nobody; it leaves the address at once. */
function tokenFromAddress() {
  const found = /^#token=(.+)$/.exec(location.hash);
  if (!found) return null;
  history.replaceState(null, "", location.pathname);
  return decodeURIComponent(found[1]);
}

async function start() {
  try {
    await workspacesFill();
  } catch (refused) {
    if (refused.code === 401) showSignIn();
    else trouble(refused.message);
    if (refused.code === 401) return;
  }
  state.signedIn = true;
  $("sign-in").hidden = true;
  $("console").hidden = false;
  await refresh();
}

async function workspacesFill() {
  const list = (await api.workspaces()).workspaces;
  const select = $("workspace");
  const chosen = select.value;
  const options = list.map((workspace) => new Option(workspace.name, workspace.name));
  select.replaceChildren(new Option("all", ""), ...options);
  select.value = chosen;
  $("workspace-label").hidden = list.length < 2;
}

/* Looking again */

function trouble(sentence) {
  $("trouble").textContent = sentence ?? "";
  $("trouble").hidden = !sentence;
}

async function refresh() {
  clearTimeout(state.timer);
  const round = ++state.round;
  const workspace = $("workspace").value;
  try {
    const [status, devices, events, device] = await Promise.all([
      api.status(workspace),
      api.devices({ workspace, limit: state.devices.limit, search: $("device-search").value.trim(), status: $("device-status").value }),
      api.events({
        workspace,
        limit: state.events.limit,
        device: $("event-device").value.trim(),
        type: $("event-type").value,
        name: $("event-name").value.trim(),
        text: $("event-text").value,
        since: $("event-since").value,
      }),
      state.device ? api.device(state.device.id, state.device.workspace) : null,
    ]);
    if (round !== state.round) return;
    trouble();
    drawStatus(status);
    drawDevices(devices);
    drawEvents(events);
    drawDevice(device);
    $("freshness").textContent = `as of ${new Date().toLocaleTimeString("en-GB")}`;
  } catch (refused) {
    if (round !== state.round) return;
    if (refused.code === 401) {
      showSignIn("The session has ended.");
      return;
    }
    if (refused.code === 404) state.device = null;
    drawReady(false, refused.message);
    trouble(refused.message);
  }
  if (state.signedIn && !document.hidden) state.timer = setTimeout(refresh, REFRESH_MS);
}

function drawReady(ready, note) {
  $("ready").className = `pill ${ready ? "good" : "bad"}`;
  $("ready-text").textContent = ready ? "ready" : "not ready";
  $("ready").title = note;
}

function countCard(label, value, note, mood) {
  return element(
    "div", `count ${mood ?? ""}`,
    element("div", "label", label), element("div", "value", count(value)), element("div", "note", note ?? ""));
}

function drawStatus(status) {
  const waiting = Object.entries(status.readiness.parts ?? {}).filter(([, part]) => !part.ready);
  drawReady(status.readiness.ready, waiting.map(([name, part]) => `${name}: ${part.note}`).join("\n"));
  if (waiting.length) trouble(waiting.map(([name, part]) => `${name} is not ready: ${part.note}`).join(" · "));
  $("version").textContent = `Picket ${status.version}`;
  const lost = status.lost + status.dropped;
  $("counts").replaceChildren(
    countCard("Devices", status.devices, `${count(status.devices_seen)} seen in 5 minutes`),
    countCard("Messages", status.messages, `${count(status.resends)} sent again, stored once`),
    countCard("Events", status.events, `${count(status.departures)} with departures`),
    countCard("Open alerts", status.alerts_open, "", status.alerts_open ? "warn" : ""),
    countCard("Lost events", lost, `${count(status.missing)} may still come, ${count(status.dropped)} dropped by devices`, lost ? "bad" : ""),
    countCard("Refused", status.refused, "at the front door", status.refused ? "warn" : ""),
    countCard("Dead letters", status.dead_letters, status.bus_gaps ? `${count(status.bus_gaps)} gaps on the bus` : "", status.dead_letters ? "bad" : ""));
}

/* Devices */

function deviceRow(device) {
  const row = element(
    "tr", "choice",
    element("td", "", element("b", "", device.id), $("workspace").options.length > 2 ? element("span", "muted", ` ${device.workspace}`) : ""),
    element("td", `status-${device.status}`, device.status),
    timeCell(device.last_seen_at, true),
    element("td", "number", count(device.message_count)),
    element("td", "number", count(device.event_count)),
    element("td", `number ${device.refused_count ? "lost" : ""}`, count(device.refused_count)));
  row.tabIndex = 0;
  const choose = () => {
    state.device = { id: device.id, workspace: device.workspace };
    $("event-device").value = device.id;
    refresh();
  };
  row.addEventListener("click", choose);
  row.addEventListener("keydown", (key) => key.key === "Enter" && choose());
  return row;
}

function drawDevices(answer) {
  const rows = answer.devices.map(deviceRow);
  $("devices").replaceChildren(...(rows.length ? rows : [emptyRow(6, "No device yet: picket device create ID enrols one.")]));
  $("devices-more").hidden = !answer.next || state.devices.limit >= ROWS_MAX;
}

function drawDevice(device) {
  $("device-panel").hidden = !device;
  if (!device) return;
  $("device-title").textContent = device.id;
  const refused = Object.entries(device.refused).map(([code, times]) => `${count(times)} × ${code}`).join(", ");
  const facts = [
    ["Status", device.status], ["Workspace", device.workspace], ["First seen", moment(device.first_seen_at)],
    ["Last seen", moment(device.last_seen_at)], ["Agent", device.agent_version ?? "not told"],
    ["Departures", count(device.departure_count)], ["Refused", refused || "none"],
    ["Modules", device.modules?.join(", ") || "none"],
  ];
  $("device-facts").replaceChildren(
    ...facts.map(([name, value]) => element("span", "", element("span", "muted", `${name} `), element("b", "", value))));
  const rows = device.ledger.map((row) => element(
    "tr", "",
    element("td", "mono", row.epoch), element("td", "number", row.stream), element("td", "number", count(row.sent)),
    element("td", "number", count(row.stored)), element("td", "number", count(row.dropped)),
    element("td", `number ${row.lost ? "lost" : ""}`, count(row.lost)),
    element("td", "mono", row.missing.map(([from, to]) => (from === to ? from : `${from}–${to}`)).join(", ") || "none")));
  $("device-ledger").replaceChildren(...(rows.length ? rows : [emptyRow(7, "This device does not number what it sends.")]));
}

/* Events */

function eventRows(event) {
  const summary = element("td", "details mono", JSON.stringify(event.details));
  const row = element(
    "tr", "choice",
    timeCell(event.time_generated, false),
    element("td", "", event.module ? `${event.device}/${event.module}` : event.device),
    element("td", "", event.type),
    element("td", "", event.name, event.departures.length ? element("span", "tag", "departs") : ""),
    summary);
  row.tabIndex = 0;
  const turn = () => {
    if (!state.events.open.delete(event.id)) state.events.open.add(event.id);
    row.nextSibling?.classList.contains("opened") ? row.nextSibling.remove() : row.after(openedRow(event));
  };
  row.addEventListener("click", turn);
  row.addEventListener("keydown", (key) => key.key === "Enter" && turn());
  return state.events.open.has(event.id) ? [row, openedRow(event)] : [row];
}

function openedRow(event) {
  const cell = element("td", "", element("pre", "mono", JSON.stringify(event, null, 2)));
  cell.colSpan = 5;
  return element("tr", "opened", cell);
}

function drawEvents(answer) {
  const rows = answer.events.flatMap(eventRows);
  $("events").replaceChildren(...(rows.length ? rows : [emptyRow(5, "No event matches.")]));
  $("events-more").hidden = !answer.next || state.events.limit >= ROWS_MAX;
}

/* What a person does */

function soon() {
  clearTimeout(state.timer);
  state.timer = setTimeout(refresh, 250);
}

$("sign-in-form").addEventListener("submit", (submit) => {
  submit.preventDefault();
  enter($("token").value.trim());
});
$("sign-out").addEventListener("click", async () => {
  await api.signOut().catch(() => {});
  showSignIn();
});
for (const id of ["device-search", "device-status", "event-device", "event-type", "event-name", "event-text", "event-since", "workspace"])
  $(id).addEventListener("input", soon);
$("device-close").addEventListener("click", () => {
  state.device = null;
  $("event-device").value = "";
  refresh();
});
$("devices-more").addEventListener("click", () => {
  state.devices.limit = Math.min(state.devices.limit + PAGE, ROWS_MAX);
  refresh();
});
$("events-more").addEventListener("click", () => {
  state.events.limit = Math.min(state.events.limit + PAGE, ROWS_MAX);
  refresh();
});
document.addEventListener("visibilitychange", () => {
  if (!document.hidden && state.signedIn) refresh();
});

const token = tokenFromAddress();
if (token) enter(token);
else start();
