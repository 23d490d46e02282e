// What this page is, even where a browser has kept an old one. A test holds it equal to the package's version.
export const VERSION = "0.1.0";
// The newest version of the wire contract that the page knows.
export const PROTOCOL = 1;
