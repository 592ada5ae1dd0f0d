// The login form: the only thing that somebody sees who is not signed in.
import { post } from "./api.js";
import { el, setText, show } from "./dom.js";
import { t } from "./words.js";

export function login(onDone) {
  const problem = el("p", { class: "problem", role: "alert", hidden: true });
  const name = el("input", { id: "login-name", name: "name", autocomplete: "username", required: true, maxlength: 64, autocapitalize: "none", spellcheck: "false" });
  const password = el("input", { id: "login-password", name: "password", type: "password", autocomplete: "current-password", required: true, maxlength: 256 });
  const button = el("button", { type: "submit" }, t("page.login"));
  const form = el("form", { class: "panel login" },
    el("h1", {}, t("page.login")), el("p", { class: "lead" }, t("page.login_lead")),
    el("label", { for: "login-name" }, t("page.name")), name,
    el("label", { for: "login-password" }, t("page.password")), password, problem, button);

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    button.disabled = true;
    show(problem, false);
    try {
      onDone(await post("/login", { name: name.value, password: password.value }));
    } catch (error) {
      const texts = {
        401: () => t("page.login_wrong"),
        429: () => t("page.login_wait", { seconds: error.problem.retry_after_s ?? 1 }),
      };
      setText(problem, (texts[error.status] ?? (() => t("page.error", { detail: error.message })))());
      show(problem, true);
      password.select();
    } finally {
      button.disabled = false;
    }
  });
  return { root: el("div", { class: "view" }, form), title: t("page.login"), focus: () => name.focus() };
}
