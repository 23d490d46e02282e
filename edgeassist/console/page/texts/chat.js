export default {
  en: {
    title: "Chat",
  },
  zh: {
    title: "对话",
  },
};
