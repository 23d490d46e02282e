// Puts the page together. A view is a module in views/ with `mount(element, context) -> {unmount}`, and a line here.
import { Asking } from "./asking.js";
import { Box } from "./box.js";
import { ownTab } from "./client.js";
import { Commands } from "./commands.js";
import { Connection } from "./connection.js";
import { Conversation } from "./conversation.js";
import { el, field, perFrame } from "./dom.js";
import { History } from "./history.js";
import { keep, recall } from "./kept.js";
import { mountLogin, reasonOf } from "./login.js";
import { noticesOf } from "./notices.js";
import { Running } from "./running.js";
import { Tabs } from "./tabs.js";
import { hasText, inLanguage, LANGUAGES, speak, t } from "./texts.js";
import * as chat from "./views/chat.js";
import * as doctor from "./views/doctor.js";
import * as fleet from "./views/fleet.js";
import * as live from "./views/live.js";
import * as models from "./views/models.js";
import * as requests from "./views/requests.js";
import * as watches from "./views/watches.js";

// More than a person chooses from, and longer than a name may be; who writes on a base topic must not fill the page.
const MOST_DEVICES = 1000;
const MOST_NAME = 64;

const VIEWS = { chat, live, requests, models, watches, doctor, fleet };

const place = (id) => document.getElementById(id);

async function begin() {
  await ownTab();
  const config = await readConfig();
  const connection = new Connection(config.mqtt);
  const box = new Box(connection, config.base, recall("device") ?? config.device);
  const commands = new Commands(connection);
  const asking = new Asking(connection, box, commands);
  const conversation = new Conversation();
  asking.news.watch((answer) => answer.state === "ended" && conversation.settle(answer));
  const context = { config, connection, box, commands, asking, conversation, t };
  context.history = new History(box);
  context.running = new Running(context, context.history);
  const page = new Page(context);
  context.choose = (device) => page.choose(device);
  page.draw();
  const login = recall("login");
  if (login) page.logIn(login.url, login.username, login.password);
}

/** Reads what the server tells; tries again until it answers. */
async function readConfig() {
  for (let wait = 1; ; wait = Math.min(wait * 2, 30)) {
    try {
      const answer = await fetch("config.json", { cache: "no-store", signal: AbortSignal.timeout(10_000) });
      if (!answer.ok) throw new Error(`${answer.status} ${answer.statusText}`);
      return await answer.json();
    } catch (error) {
      place("view").replaceChildren(el("p", { text: t("common.config.failed", { message: error.message }) }));
      await new Promise((resolve) => setTimeout(resolve, wait * 1000));
    }
  }
}

/** What stands around the views: the head, notices, tabs, and the login in their place. */
class Page {
  #context;
  #tabs;
  #login = null;
  #wasOnline = false;
  #devices = new Set();
  #devicesChanged = perFrame(() => this.#listDevices());
  #drawn = "";

  constructor(context) {
    this.#context = context;
    this.#tabs = new Tabs(place("tabs"), place("view"), VIEWS, context);
    context.connection.news.watch(() => this.#linkChanged());
    context.box.news.watch(() => this.#head());
    context.connection.subscribe(`${context.config.base}/+/status`, (topic, text) => this.#found(topic, text));
    setInterval(() => context.connection.state === "waiting" && this.#head(), 1000);
  }

  /** Draws all in the language in force. */
  draw() {
    document.documentElement.lang = inLanguage() === "zh" ? "zh-CN" : "en";
    place("skip").textContent = t("common.skip");
    this.#drawLanguage();
    this.#drawDevices();
    this.#head();
    this.#body();
  }

  /** Looks at another device. */
  choose(device) {
    keep("device", device);
    this.#context.box.choose(device);
    this.#listDevices();
  }

  logIn(url, username, password) {
    this.#wasOnline = false;
    this.#context.connection.open(url, username, password);
    keep("login", { url, username, password });
  }

  /** The page begins anew, without a connection, so that nothing is left in it for who comes next. */
  #logOut() {
    const { asking, conversation } = this.#context;
    asking.forget();
    conversation.clear();
    for (const name of ["login", "composer", "view", "device"]) keep(name, undefined);
    location.reload();
  }

  #linkChanged() {
    const { connection } = this.#context;
    const before = this.#wasOnline;
    if (connection.state === "online") this.#wasOnline = true;
    if (connection.state === "idle") this.#wasOnline = false;
    if (connection.state === "refused" && connection.reason === "login") {
      this.#wasOnline = false;
      keep("login", { url: connection.url, username: connection.username });
    }
    this.#head();
    if (before !== this.#wasOnline) this.#body();
  }

  /** The views stay while a connection that there was is made again. */
  #body() {
    this.#login?.unmount();
    this.#login = null;
    if (this.#wasOnline) {
      this.#tabs.draw();
      return;
    }
    this.#tabs.clear();
    const { connection, config } = this.#context;
    this.#login = mountLogin(place("view"), connection, config, recall("login") ?? {}, (...typed) => this.logIn(...typed));
  }

  #head() {
    const { connection, box } = this.#context;
    let words = t(`common.state.${connection.state}`);
    if (connection.state === "online") {
      const said = box.health?.state;
      // Of a newer device, it may be a word that this page does not know.
      const state = hasText(`common.health.${said}`) ? t(`common.health.${said}`) : String(said ?? "");
      words = t(`common.state.device.${box.status}`, { device: box.device, state }).replace(/[:：]\s*$/, "");
    }
    const state = place("state");
    if (state.textContent !== words) state.textContent = words;
    state.dataset.state = connection.state === "online" ? box.status : connection.state;
    this.#drawNotices();
  }

  #drawNotices() {
    const { connection, config } = this.#context;
    const notices = noticesOf(this.#context);
    const broken = this.#wasOnline && connection.reason;
    const key = JSON.stringify([inLanguage(), notices, broken && [connection.state, connection.reason, connection.detail]]);
    if (key !== this.#drawn) {
      this.#drawn = key;
      const parts = notices.map((text) => el("p", { class: "notice", text }));
      if (broken) parts.unshift(el("div", { class: "notice", id: "link" }));
      place("notices").replaceChildren(...parts);
      if (broken) place("link").replaceChildren(...(reasonOf(connection, config) ?? []));
    }
    const again = place("link")?.querySelector(".again");
    if (again) {
      const seconds = Math.max(0, Math.ceil((connection.retryAt - Date.now()) / 1000));
      again.textContent = t("common.why.again", { seconds });
    }
  }

  #found(topic, text) {
    const device = topic.split("/").at(-2);
    const known = this.#devices.size;
    if (!text) this.#devices.delete(device);
    else if (device.length <= MOST_NAME && known < MOST_DEVICES) this.#devices.add(device);
    if (this.#devices.size !== known) this.#devicesChanged();
  }

  #drawDevices() {
    const chosen = el("select", { onchange: () => this.choose(chosen.value) });
    place("device").replaceChildren(field(t("common.device"), chosen));
    this.#listDevices();
  }

  /** The list stays, with its focus, while devices come and go. */
  #listDevices() {
    const { box } = this.#context;
    const names = [...new Set([...this.#devices, box.device])].sort();
    const chosen = place("device").querySelector("select");
    chosen.replaceChildren(...names.map((name) => el("option", { value: name, text: name, selected: name === box.device })));
  }

  #drawLanguage() {
    const chosen = el("select", {
      onchange: () => {
        speak(chosen.value);
        this.draw();
        place("language").querySelector("select").focus();
      },
    });
    const options = Object.entries(LANGUAGES).map(([code, name]) =>
      el("option", { value: code, lang: code, text: name, selected: code === inLanguage() }),
    );
    chosen.append(...options);
    const out = el("button", { type: "button", id: "log-out", text: t("common.login.out"), onclick: () => this.#logOut() });
    place("language").replaceChildren(field(t("common.language"), chosen), out);
  }
}

begin();
