// The API as this page uses it. A session cookie travels by itself; unsafe methods also need the session's token.
const BASE = "/api/v1";
let csrf = null;

export class ApiError extends Error {
  constructor(status, problem) {
    super(problem.detail || String(status));
    this.status = status;
    this.code = problem.code || "";
    this.problem = problem;
  }
}

export function setToken(token) {
  csrf = token;
}

async function ask(method, path, body) {
  const headers = { Accept: "application/json" };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  if (method !== "GET" && csrf) headers["X-CSRF-Token"] = csrf;
  let response;
  try {
    response = await fetch(BASE + path, {
      method,
      headers,
      credentials: "same-origin",
      body: body === undefined ? undefined : JSON.stringify(body),
    });
  } catch (error) {
    throw new ApiError(0, { code: "offline", detail: String(error.message || error) });
  }
  if (response.status === 204) return null;
  const answer = await response.json().catch(() => ({}));
  if (!response.ok) throw new ApiError(response.status, answer);
  return answer;
}

export const get = (path) => ask("GET", path);
export const post = (path, body = {}) => ask("POST", path, body);

export function query(parameters) {
  const pairs = Object.entries(parameters).filter(([, value]) => value !== "" && value !== null && value !== undefined);
  return pairs.length ? "?" + new URLSearchParams(pairs).toString() : "";
}

// All items of a list up to `most`, following the cursor.
export async function list(path, parameters, most) {
  const items = [];
  let cursor = null;
  let answer;
  do {
    answer = await get(path + query({ ...parameters, limit: Math.min(500, most - items.length), cursor }));
    items.push(...answer.items);
    cursor = answer.next;
  } while (cursor && items.length < most);
  return { ...answer, items, more: Boolean(cursor) };
}
