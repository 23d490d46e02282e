// As much of the ESP32's Arduino core as PubSubClient and examples/arduino use, for a PC. Serial is standard input
// and output; the sketch ends with its input (and after what was asked has ended: see host.cpp).
#pragma once

#include <cstdarg>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

typedef bool boolean;
typedef uint8_t byte;

#define PROGMEM
#define pgm_read_byte_near(address) (*(const uint8_t*)(address))

unsigned long millis();
void delay(unsigned long ms);
void yield();
uint32_t esp_random();

void setup();
void loop();

#include "Print.h"
#include "Stream.h"

class HostSerial : public Stream {
 public:
  void begin(unsigned long) {}
  int available() override;
  int read() override;
  size_t write(uint8_t byte) override;
  size_t write(const uint8_t* bytes, size_t size) override;
  size_t print(const char* text);
  size_t printf(const char* format, ...);
};

extern HostSerial Serial;
