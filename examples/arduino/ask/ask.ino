// Asks an EdgeAssist device what is typed in the Serial Monitor, and prints the answer as it comes.
//
// For the ESP32 and ESP8266 with PubSubClient 2.8, and no other library. Everything fits into PubSubClient's buffer of
// 256 bytes: the request says so ("max_packet"), and the device cuts its answer accordingly. loop() never waits
// for an answer: your own code goes on beside it.

#ifdef ESP8266
#include <ESP8266WiFi.h>
#else
#include <WiFi.h>
#endif
#include <PubSubClient.h>

const char* WIFI = "my network";
const char* WIFI_PASSWORD = "secret";
const char* BROKER = "192.168.1.10";
const int PORT = 1883;
const char* DEVICE = "pi";         // the daemon's device.name
const char* CLIENT = "esp32";      // this board's name; at a broker with passwords, its account
const char* PASSWORD = "";         // empty: no account
const unsigned long LIMIT_S = 60;  // from the question to the end of the answer
const char* PREFIX = "";           // stands before every prompt: "In one sentence: "

const int PACKET = MQTT_MAX_PACKET_SIZE;  // for longer prompts: 1024, say
const unsigned long RETRY_MS = 3000;      // between two attempts to connect

WiFiClient network;
PubSubClient mqtt(network);

// --- What you do with an answer -------------------------------------------------------------------

// A piece of text came; it is not a C string, and may end before the answer does.
void onText(const char* text, unsigned int length) { Serial.write((const uint8_t*)text, length); }

// All that was shown since the last end is void: the text comes again, from its beginning.
void onAgain() { Serial.print("\n(again)\n"); }

// The end: code is "" for a complete answer, else an error's code, or "timeout".
void onEnd(const char* code, const char* message) {
  if (code[0] == 0) {
    Serial.print("\n(done)\n");
  } else {
    Serial.printf("\n(%s: %s)\n", code, message);
  }
}

// --- The request: at most one at a time -----------------------------------------------------------

bool asking = false;
char id[24];             // of this request's own, so that no other answer is taken for its
char request[1024];      // kept as it is until the end: the same bytes are the same request
unsigned long askedAt;   // millis()
unsigned long publishAt; // when to publish, if toPublish
bool toPublish = false;
bool online = false;     // the device, by its status, which the broker keeps
unsigned long messages;  // pieces of text, the empty one among them; the end says how many there were

char promptTopic[100], replyTopic[120], endTopic[124], cancelTopic[100], statusTopic[100];

uint32_t anyNumber() {
#ifdef ESP8266
  return RANDOM_REG32;
#else
  return esp_random();
#endif
}

// Appends text, as the inside of a JSON string; false where it does not fit.
bool quote(const char* text, char* to, size_t size) {
  size_t at = strlen(to);
  for (; *text; text++) {
    unsigned char c = *text;
    if (at + 3 > size) return false;
    if (c == '"' || c == '\\' || c == '\n') to[at++] = '\\';
    to[at++] = c == '\n' ? 'n' : c < ' ' ? ' ' : c;
  }
  to[at] = 0;
  return true;
}

void publishSoon(unsigned long ms) {
  toPublish = true;
  publishAt = millis() + ms;
}

void finish(const char* code, const char* message) {
  asking = toPublish = false;
  onEnd(code, message);
}

// Asks. False where a request is under way, or the prompt is too long for the buffer.
bool ask(const char* prompt) {
  char quoted[800] = "";
  if (asking || !quote(PREFIX, quoted, sizeof quoted) || !quote(prompt, quoted, sizeof quoted)) return false;
  snprintf(id, sizeof id, "%08lx", (unsigned long)anyNumber());
  snprintf(promptTopic, sizeof promptTopic, "edgeassist/%s/prompt/%s", DEVICE, CLIENT);
  snprintf(replyTopic, sizeof replyTopic, "edgeassist/%s/reply/%s/%s", DEVICE, CLIENT, id);
  snprintf(endTopic, sizeof endTopic, "%s/end", replyTopic);
  snprintf(cancelTopic, sizeof cancelTopic, "edgeassist/%s/command/cancel/%s", DEVICE, CLIENT);
  int length = snprintf(request, sizeof request,
                        "{\"id\":\"%s\",\"max_packet\":%d,\"format\":\"text\",\"timeout_s\":%lu,\"prompt\":\"%s\"}",
                        id, PACKET, LIMIT_S, quoted);
  if (length >= (int)sizeof request) return false;
  // What PubSubClient::publish needs beside topic and payload. It would return false, and nothing would happen.
  if (MQTT_MAX_HEADER_SIZE + 2 + strlen(promptTopic) + length > mqtt.getBufferSize()) return false;
  asking = true;
  askedAt = millis();
  messages = 0;
  publishSoon(0);
  return true;
}

// Copies the text of a field of the event; a backslash stays, whatever it stands for.
void field(const char* event, const char* name, char* to, size_t size) {
  char key[24];
  snprintf(key, sizeof key, "\"%s\":\"", name);
  const char* from = strstr(event, key);
  size_t at = 0;
  for (from = from ? from + strlen(key) : ""; *from && *from != '"' && at + 3 < size; from++) {
    if (*from == '\\') to[at++] = *from++;
    to[at++] = *from;
  }
  to[at] = 0;
}

// PubSubClient calls this with its one buffer: publish in here, and topic and payload are gone. So it only takes notes.
void onMessage(char* topic, uint8_t* payload, unsigned int length) {
  if (strcmp(topic, statusTopic) == 0) {
    bool was = online;
    online = length == 6 && memcmp(payload, "online", 6) == 0;
    // Nobody knows what was missed. The device does, and does not run the same request twice.
    if (asking && online && !was) publishSoon(0);
    return;
  }
  if (!asking) return;
  if (strcmp(topic, replyTopic) == 0) {
    messages++;
    if (length > 0) onText((const char*)payload, length);
    return;
  }
  if (strcmp(topic, endTopic) != 0) return;
  static char event[1024];
  if (length >= sizeof event) length = sizeof event - 1;
  memcpy(event, payload, length);
  event[length] = 0;

  const char* seq = strstr(event, "\"seq\":");
  if (strstr(event, "\"type\":\"done\"")) {
    if (seq && strtoul(seq + 6, nullptr, 10) == messages) {
      finish("", "");
    } else {  // text was lost with a link. The device has the answer still: the same request brings it again.
      publishSoon(0);
    }
  } else if (strstr(event, "\"type\":\"error\"")) {
    char code[32], message[160];
    field(event, "code", code, sizeof code);
    field(event, "message", message, sizeof message);
    const char* wait = strstr(event, "\"retry_after_ms\":");
    bool later = !strcmp(code, "busy") || !strcmp(code, "quota_exceeded") || !strcmp(code, "model_loading");
    if (later && wait) {
      publishSoon(strtoul(wait + 17, nullptr, 10));
    } else if (!strcmp(code, "interrupted")) {  // the device was restarted: it begins anew
      publishSoon(0);
    } else {
      finish(code, message);
    }
  }
}

void keepConnected() {
  static unsigned long triedAt = 0;
  static bool tried = false;
  if (mqtt.connected() || (tried && millis() - triedAt < RETRY_MS)) return;
  tried = true;
  const char* account = PASSWORD[0] ? CLIENT : nullptr;
  if (mqtt.connect(CLIENT, account, PASSWORD[0] ? PASSWORD : nullptr)) {
    char replies[100];
    snprintf(replies, sizeof replies, "edgeassist/%s/reply/%s/#", DEVICE, CLIENT);
    mqtt.subscribe(replies, 1);
    online = false;  // until the status says so
    snprintf(statusTopic, sizeof statusTopic, "edgeassist/%s/status", DEVICE);
    mqtt.subscribe(statusTopic, 1);
  }
  triedAt = millis();
}

void keepAsking() {
  if (!asking) return;
  if (millis() - askedAt >= LIMIT_S * 1000) {
    mqtt.publish(cancelTopic, id);
    finish("timeout", "no end in time");
  } else if (toPublish && (long)(millis() - publishAt) >= 0 && mqtt.connected() && online) {
    toPublish = false;
    if (messages > 0) onAgain();
    messages = 0;
    mqtt.publish(promptTopic, request);
  }
}

// --- Setup and loop -------------------------------------------------------------------------------

void setup() {
  Serial.begin(115200);
  WiFi.begin(WIFI, WIFI_PASSWORD);  // connects in the background, and again when it is lost
  mqtt.setServer(BROKER, PORT);
  mqtt.setCallback(onMessage);
  mqtt.setBufferSize(PACKET);
  mqtt.setSocketTimeout(3);  // loop() may stand still so long while it connects, and no longer
}

void loop() {
  keepConnected();
  mqtt.loop();
  keepAsking();

  static char line[700];
  static size_t length = 0;
  while (Serial.available()) {
    char c = Serial.read();
    if (c == '\n') {
      line[length] = 0;
      length = 0;
      if (!ask(line)) Serial.print("(too long, or another is being answered)\n");
    } else if (c != '\r' && length + 1 < sizeof line) {
      line[length++] = c;
    }
  }
}
