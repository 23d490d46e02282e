// Text as it is, with fenced code set apart; nothing in it becomes markup.
import { el } from "./dom.js";

const FENCE = /^ {0,3}(`{3,}|~{3,})\s*([^`\n]*)$/;

/** Returns a text's blocks: `{code: false, text}` or `{code: true, language, text}`. */
export function blocksOf(text) {
  const blocks = [];
  let open = null;
  let lines = [];
  const close = (block) => {
    if (block.code || lines.join("").trim()) blocks.push({ ...block, text: lines.join("\n") });
    lines = [];
  };
  for (const line of text.split("\n")) {
    const fence = FENCE.exec(line);
    if (open && fence && fence[1].startsWith(open.fence) && !fence[2].trim()) {
      close({ code: true, language: open.language });
      open = null;
    } else if (!open && fence) {
      close({ code: false });
      open = { fence: fence[1], language: fence[2].trim() };
    } else lines.push(line);
  }
  close(open ? { code: true, language: open.language } : { code: false });
  return blocks;
}

/** Returns the elements of a text. */
export function elementsOf(text) {
  return blocksOf(text).map((block) =>
    block.code
      ? el("pre", { tabindex: "0", "aria-label": block.language || null }, el("code", { text: block.text }))
      : el("p", { class: "text", text: block.text.replace(/^\n+|\n+$/g, "") }),
  );
}

/** Returns JSON with indentation; the text itself where it is none. */
export function prettyJson(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}
