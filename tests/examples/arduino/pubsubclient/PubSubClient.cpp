#include "PubSubClient.h"

// A packet is written behind this much room for its header, whose length is known last.
static const size_t ROOM = MQTT_MAX_HEADER_SIZE;

PubSubClient::PubSubClient(Client& client) : client_(client) { setBufferSize(MQTT_MAX_PACKET_SIZE); }

PubSubClient::~PubSubClient() { free(buffer_); }

PubSubClient& PubSubClient::setServer(const char* host, uint16_t port) {
  host_ = host;
  port_ = port;
  return *this;
}

PubSubClient& PubSubClient::setCallback(Callback callback) {
  callback_ = callback;
  return *this;
}

PubSubClient& PubSubClient::setKeepAlive(uint16_t seconds) {
  keepAlive_ = seconds;
  return *this;
}

PubSubClient& PubSubClient::setSocketTimeout(uint16_t seconds) {
  timeout_ = seconds;
  return *this;
}

boolean PubSubClient::setBufferSize(uint16_t size) {
  uint8_t* buffer = size ? (uint8_t*)realloc(buffer_, size) : nullptr;
  if (!buffer) return false;
  buffer_ = buffer;
  size_ = size;
  return true;
}

boolean PubSubClient::connected() {
  if (state_ == MQTT_CONNECTED && !client_.connected()) return lose(MQTT_CONNECTION_LOST);
  return state_ == MQTT_CONNECTED;
}

boolean PubSubClient::connect(const char* id, const char* user, const char* password) {
  if (connected()) return true;
  if (client_.connect(host_, port_) != 1) return lose(MQTT_CONNECT_FAILED);
  const uint8_t clean = 0x02, flags = clean | (user ? 0x80 : 0) | (user && password ? 0x40 : 0);
  const uint8_t start[] = {0, 4, 'M', 'Q', 'T', 'T', 4, flags, (uint8_t)(keepAlive_ >> 8), (uint8_t)keepAlive_};
  memcpy(buffer_ + ROOM, start, sizeof start);
  size_t end = ROOM + sizeof start;
  const char* texts[] = {id, user, user ? password : nullptr};
  for (const char* text : texts) {
    if (!text) continue;
    if (!fits(end + 2 + strlen(text))) return lose(MQTT_DISCONNECTED);
    end = put(end, text);
  }
  send(0x10, end);
  heardAt_ = millis();
  while (!client_.available()) {
    if (millis() - heardAt_ >= timeout_ * 1000UL) return lose(MQTT_CONNECTION_TIMEOUT);
    delay(1);
  }
  size_t body;
  if (readPacket(&body) != 4) return lose(MQTT_DISCONNECTED);
  if (buffer_[3] != 0) return lose(buffer_[3]);
  pinged_ = false;
  heardAt_ = millis();
  state_ = MQTT_CONNECTED;
  return true;
}

void PubSubClient::disconnect() {
  send(0xE0, ROOM);
  lose(MQTT_DISCONNECTED);
}

boolean PubSubClient::publish(const char* topic, const char* payload) {
  size_t length = strlen(payload);
  if (!connected() || !fits(ROOM + 2 + strlen(topic) + length)) return false;
  size_t end = put(ROOM, topic);
  memcpy(buffer_ + end, payload, length);
  return send(0x30, end + length);
}

boolean PubSubClient::subscribe(const char* topic, uint8_t qos) {
  if (qos > 1 || !connected() || !fits(ROOM + 5 + strlen(topic))) return false;
  buffer_[ROOM] = ++nextId_ >> 8;
  buffer_[ROOM + 1] = nextId_;
  size_t end = put(ROOM + 2, topic);
  buffer_[end] = qos;
  return send(0x82, end + 1);
}

boolean PubSubClient::unsubscribe(const char* topic) {
  if (!connected() || !fits(ROOM + 4 + strlen(topic))) return false;
  buffer_[ROOM] = ++nextId_ >> 8;
  buffer_[ROOM + 1] = nextId_;
  return send(0xA2, put(ROOM + 2, topic));
}

boolean PubSubClient::loop() {
  if (!connected()) return false;
  unsigned long now = millis(), patience = keepAlive_ * 1000UL;
  if (now - heardAt_ > patience || now - saidAt_ > patience) {
    if (pinged_) return lose(MQTT_CONNECTION_TIMEOUT);
    send(0xC0, ROOM);
    heardAt_ = now;
    pinged_ = true;
  }
  if (!client_.available()) return true;
  size_t body, size = readPacket(&body);
  if (size == 0) return connected();
  heardAt_ = now;
  uint8_t kind = buffer_[0] & 0xF0;
  if (kind == 0xD0) pinged_ = false;
  if (kind != 0x30 || !callback_) return true;
  bool acknowledged = buffer_[0] & 0x02;
  size_t length = buffer_[body] << 8 | buffer_[body + 1];
  size_t payload = body + 2 + length + (acknowledged ? 2 : 0);
  uint8_t id[2] = {};
  if (acknowledged) memcpy(id, buffer_ + body + 2 + length, 2);
  // One byte to the front, to make room for the NUL.
  char* topic = (char*)buffer_ + body + 1;
  memmove(topic, topic + 1, length);
  topic[length] = 0;
  callback_(topic, buffer_ + payload, size - payload);
  if (acknowledged) {
    memcpy(buffer_ + ROOM, id, 2);
    send(0x40, ROOM + 2);
  }
  return true;
}

bool PubSubClient::readByte(uint8_t* byte) {
  unsigned long begin = millis();
  while (!client_.available()) {
    if (!client_.connected() || millis() - begin >= timeout_ * 1000UL) return false;
    delay(1);
  }
  *byte = client_.read();
  return true;
}

// Returns the size of the packet in the buffer, and where its body begins; 0 for one that did not fit.
size_t PubSubClient::readPacket(size_t* body) {
  size_t at = 0, length = 0;
  uint8_t byte;
  if (!readByte(&buffer_[at++])) return 0;
  do {
    if (at == 5) return lose(MQTT_DISCONNECTED);
    if (!readByte(&byte)) return 0;
    buffer_[at] = byte;
    length |= (size_t)(byte & 0x7F) << 7 * (at++ - 1);
  } while (byte & 0x80);
  *body = at;
  for (size_t end = at + length; at < end; at++) {
    if (!readByte(&byte)) return 0;
    if (at < size_) buffer_[at] = byte;
  }
  return fits(at) ? at : 0;
}

size_t PubSubClient::put(size_t at, const char* text) {
  size_t length = strlen(text);
  buffer_[at] = length >> 8;
  buffer_[at + 1] = length;
  memcpy(buffer_ + at + 2, text, length);
  return at + 2 + length;
}

bool PubSubClient::send(uint8_t kind, size_t end) {
  uint8_t header[MQTT_MAX_HEADER_SIZE] = {kind};
  size_t size = 1, length = end - ROOM;
  do {
    header[size++] = (length & 0x7F) | (length > 0x7F ? 0x80 : 0);
    length >>= 7;
  } while (length);
  memcpy(buffer_ + ROOM - size, header, size);
  saidAt_ = millis();
  return client_.write(buffer_ + ROOM - size, end - ROOM + size) == end - ROOM + size;
}

boolean PubSubClient::lose(int state) {
  client_.stop();
  state_ = state;
  return false;
}
