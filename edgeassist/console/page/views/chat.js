// The chat.
import { el } from "../dom.js";

export function mount(place, { t }) {
  place.append(el("h2", { text: t("chat.title") }));
  return { unmount() {} };
}
