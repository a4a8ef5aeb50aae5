/* The one way to the server: everything the console shows comes from the API that /openapi.json describes.
 * The session is a cookie which scripts cannot read; the header tells the server that a page of its own asks. */

export class Refused extends Error {
  constructor(code, message) {
    super(message);
    this.code = code; /* 0: no answer at all */
  }
}

async function ask(method, path, body) {
  let answer;
  try {
    answer = await fetch(path, {
      method,
      credentials: "same-origin",
      cache: "no-store",
      headers: body === undefined ? { "Picket-Console": "1" } : { "Picket-Console": "1", "Content-Type": "application/json" },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
  } catch {
    throw new Refused(0, "The server cannot be reached.");
  }
  const text = await answer.text();
  let json = null;
  try {
    json = text ? JSON.parse(text) : null;
  } catch {
    throw new Refused(answer.status, "The server's answer cannot be read.");
  }
  if (!answer.ok) throw new Refused(answer.status, json?.error?.message ?? `The server answered ${answer.status}.`);
  return json;
}

function withArguments(path, values) {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(values)) if (value) search.set(name, value);
  const text = search.toString();
  return text ? `${path}?${text}` : path;
}

export const signIn = (token) => ask("POST", "/session", { token });
export const signOut = () => ask("DELETE", "/session");
export const status = (workspace) => ask("GET", withArguments("/v1/status", { workspace }));
export const workspaces = () => ask("GET", "/v1/workspaces?limit=1000");
export const devices = (filter) => ask("GET", withArguments("/v1/devices", filter));
export const events = (filter) => ask("GET", withArguments("/v1/events", filter));

export function device(id, workspace) {
  const [name, module] = id.split("/");
  const path = `/v1/devices/${encodeURIComponent(name)}` + (module ? `/modules/${encodeURIComponent(module)}` : "");
  return ask("GET", withArguments(path, { workspace }));
}
