// A stand-in for the library PubSubClient 2.8 (Nick O'Leary, https://pubsubclient.knolleary.net), which no package
// registry of ours has. It is written after its documentation and keeps to its limits: MQTT 3.1.1, one buffer of 256
// bytes for both ways, QoS 0 to publish and 0 or 1 to subscribe, a larger packet is read and dropped without a word
// and without a PUBACK, a payload is not ended by a NUL, and what is published in the callback overwrites it.
// With EDGEASSIST_PUBSUBCLIENT=FOLDER, the tests compile the library's own src folder instead.
#pragma once

#include <Arduino.h>

#include "Client.h"

#define MQTT_MAX_PACKET_SIZE 256
#define MQTT_MAX_HEADER_SIZE 5
#define MQTT_KEEPALIVE 15
#define MQTT_SOCKET_TIMEOUT 15

#define MQTT_CONNECTION_TIMEOUT -4
#define MQTT_CONNECTION_LOST -3
#define MQTT_CONNECT_FAILED -2
#define MQTT_DISCONNECTED -1
#define MQTT_CONNECTED 0

class PubSubClient {
 public:
  typedef void (*Callback)(char* topic, uint8_t* payload, unsigned int length);

  explicit PubSubClient(Client& client);
  ~PubSubClient();

  PubSubClient& setServer(const char* host, uint16_t port);
  PubSubClient& setCallback(Callback callback);
  PubSubClient& setKeepAlive(uint16_t seconds);
  PubSubClient& setSocketTimeout(uint16_t seconds);
  boolean setBufferSize(uint16_t size);
  uint16_t getBufferSize() { return size_; }

  // Waits for the CONNACK, for the socket timeout at most.
  boolean connect(const char* id) { return connect(id, nullptr, nullptr); }
  boolean connect(const char* id, const char* user, const char* password);
  void disconnect();
  boolean connected();
  int state() { return state_; }

  // False without a connection, and where header (5 bytes), topic and payload exceed the buffer.
  boolean publish(const char* topic, const char* payload);
  // Does not wait for the SUBACK.
  boolean subscribe(const char* topic, uint8_t qos = 0);
  boolean unsubscribe(const char* topic);

  // Reads one packet if there is one, and keeps the connection alive. False without a connection.
  boolean loop();

 private:
  bool readByte(uint8_t* byte);
  size_t readPacket(size_t* body);
  size_t put(size_t at, const char* text);
  bool send(uint8_t kind, size_t end);
  bool fits(size_t bytes) { return bytes <= size_; }
  boolean lose(int state);

  Client& client_;
  uint8_t* buffer_ = nullptr;
  uint16_t size_ = 0;
  uint16_t keepAlive_ = MQTT_KEEPALIVE;
  uint16_t timeout_ = MQTT_SOCKET_TIMEOUT;
  uint16_t nextId_ = 1;
  const char* host_ = "";
  uint16_t port_ = 1883;
  Callback callback_ = nullptr;
  int state_ = MQTT_DISCONNECTED;
  bool pinged_ = false;
  unsigned long heardAt_ = 0, saidAt_ = 0;
};
