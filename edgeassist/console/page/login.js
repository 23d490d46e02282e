// The form for the broker's login, and the words for why there is no connection.
import { el, field } from "./dom.js";
import { t } from "./texts.js";

/** Returns why there is no connection, as elements; null where there is nothing to say. */
export function reasonOf(connection, config) {
  if (!connection.reason) return null;
  const { url, detail } = connection;
  const parts = [el("p", { text: t(`common.why.${connection.reason}`, { url, detail, broker: config.broker }) })];
  if (connection.reason === "no-websocket") parts.push(el("pre", { text: listenerLines(url) }));
  if (connection.state === "waiting") {
    const seconds = Math.max(0, Math.ceil((connection.retryAt - Date.now()) / 1000));
    parts.push(el("p", { class: "again", "aria-live": "off", text: t("common.why.again", { seconds }) }));
    parts.push(el("button", { type: "button", text: t("common.retry"), onclick: () => connection.retry() }));
  }
  return parts;
}

/** Returns the two lines of mosquitto.conf that open WebSockets at an address; for this machine alone where it is that. */
export function listenerLines(url) {
  let host = "localhost";
  let port = "9001";
  try {
    ({ hostname: host, port } = new URL(url));
  } catch {
    // What was typed is no address: the usual ones are shown.
  }
  const local = ["localhost", "127.0.0.1", "[::1]"].includes(host) ? " 127.0.0.1" : "";
  return `listener ${port || "9001"}${local}\nprotocol websockets`;
}

/** Puts the form into `place`; `submit(url, username, password)` is called with what was typed. */
export function mountLogin(place, connection, config, known, submit) {
  const url = el("input", { type: "text", inputmode: "url", required: true, spellcheck: "false", autocomplete: "off" });
  const username = el("input", { type: "text", autocomplete: "username", spellcheck: "false", autocapitalize: "none" });
  const password = el("input", { type: "password", autocomplete: "current-password" });
  url.value = known.url ?? config.broker;
  username.value = known.username ?? "";
  const why = el("div", { class: "why", role: "alert" });
  const form = el(
    "form",
    {
      class: "login card",
      "aria-labelledby": "login-title",
      onsubmit: (event) => {
        event.preventDefault();
        submit(url.value.trim(), username.value, password.value);
      },
    },
    el("h2", { id: "login-title", text: t("common.login.title") }),
    el("p", { text: t("common.login.explain") }),
    why,
    field(t("common.login.username"), username, t("common.login.username.hint")),
    field(t("common.login.password"), password),
    field(t("common.login.url"), url, t("common.login.url.hint")),
    el("button", { type: "submit", class: "primary", text: t("common.login.submit") }),
  );
  let told = "";
  const show = () => {
    // An alert that is drawn anew is read out again.
    const reason = [connection.reason, connection.url, connection.state === "waiting"].join(" ");
    if (reason !== told && connection.state !== "connecting") {
      told = reason;
      why.replaceChildren(...(reasonOf(connection, config) ?? []));
    }
    const seconds = Math.max(0, Math.ceil((connection.retryAt - Date.now()) / 1000));
    const again = why.querySelector(".again");
    if (again) again.textContent = t("common.why.again", { seconds });
    form.classList.toggle("connecting", connection.state === "connecting");
  };
  place.replaceChildren(form);
  const end = connection.news.watch(show);
  const ticks = setInterval(() => connection.state === "waiting" && show(), 1000);
  show();
  username.focus();
  return {
    unmount() {
      clearInterval(ticks);
      end();
    },
  };
}
