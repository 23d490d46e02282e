export default {
  en: {
    now: "now",
    comma: ", ",
    "minutes.ago": "{count} min ago",
    seconds: "{count} s",
    minutes: "{count} min",
    hours: "{count} h",
    no: "No",
    old: "The device's version, {version}, can't tell this. A newer EdgeAssist on it can.",
  },
  zh: {
    now: "现在",
    comma: "，",
    "minutes.ago": "{count} 分钟前",
    seconds: "{count} 秒",
    minutes: "{count} 分钟",
    hours: "{count} 小时",
    no: "否",
    old: "设备上的版本 {version} 不支持此功能。请升级设备上的 EdgeAssist。",
  },
};
