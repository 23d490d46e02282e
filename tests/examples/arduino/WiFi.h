// A Wi-Fi that is always there, and its TCP client over the PC's sockets.
#pragma once

#include "Arduino.h"
#include "Client.h"

class WiFiClient : public Client {
 public:
  ~WiFiClient() override { stop(); }
  int connect(IPAddress address, uint16_t port) override;
  int connect(const char* host, uint16_t port) override;
  int available() override;
  int read() override;
  int read(uint8_t* bytes, size_t size) override;
  size_t write(uint8_t byte) override;
  size_t write(const uint8_t* bytes, size_t size) override;
  void flush() override {}
  void stop() override;
  uint8_t connected() override;

 private:
  int socket_ = -1;
};

class HostWiFi {
 public:
  void begin(const char*, const char*) {}
};

extern HostWiFi WiFi;
