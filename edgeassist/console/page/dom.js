// Makes elements. What comes from outside is put in as text, never as markup.

/**
 * Returns an element.
 * @param {string} name Such as "button".
 * @param {Object<string, *>} attributes Attributes by name; `on…` adds a listener, `text` sets the text,
 *   true and false set and leave out an attribute, null and undefined leave it out.
 * @param {...(Node|string|null)} children Appended in order; strings become text, null is left out.
 */
export function el(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key === "text") element.textContent = value;
    else if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (value === true) element.setAttribute(key, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(key, value);
  }
  element.append(...children.filter((each) => each !== null && each !== undefined));
  return element;
}

let lastId = 0;

/** Returns an id that no other element has. */
export function freshId(prefix = "e") {
  lastId += 1;
  return `${prefix}${lastId}`;
}

/** Returns a label and its control, as one row of a form; the control gets an id if it has none. */
export function field(label, control, hint = null) {
  control.id ||= freshId("f");
  const row = el("div", { class: "field" }, el("label", { for: control.id, text: label }), control);
  if (hint) {
    const told = el("p", { class: "hint", id: `${control.id}-hint`, text: hint });
    control.setAttribute("aria-describedby", told.id);
    row.append(told);
  }
  return row;
}

/**
 * Calls a function once in the next animation frame, however often it is asked for; in a page that is hidden, where
 * there are no frames, four times a second.
 */
export function perFrame(draw) {
  let wanted = false;
  return () => {
    if (wanted) return;
    wanted = true;
    const run = () => {
      if (!wanted) return;
      wanted = false;
      draw();
    };
    if (document.hidden) setTimeout(run, 250);
    else {
      requestAnimationFrame(run);
      // One that was asked for just before the page is hidden never comes.
      setTimeout(run, 1000);
    }
  };
}

/** Tells people who hear the page: the text replaces what was not read out yet. */
export function say(text) {
  const place = document.getElementById("said");
  if (place) place.textContent = text;
}
