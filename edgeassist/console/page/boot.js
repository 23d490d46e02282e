// Not a module, so that it runs where one of them could not be fetched: it says so, in a page that else stays empty.
addEventListener(
  "error",
  (event) => {
    if (event.target?.tagName !== "SCRIPT") return;
    const again = document.createElement("button");
    again.textContent = "Reload / 重新加载";
    again.addEventListener("click", () => location.reload());
    const words = document.createElement("p");
    words.textContent = "The page could not be loaded whole. Does its server still run? 页面未能完整加载。它的服务还在运行吗？";
    document.getElementById("view").replaceChildren(words, again);
  },
  true,
);
