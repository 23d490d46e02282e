#pragma once

#include "IPAddress.h"
#include "Stream.h"

class Client : public Stream {
 public:
  virtual int connect(IPAddress address, uint16_t port) = 0;
  virtual int connect(const char* host, uint16_t port) = 0;
  virtual int read(uint8_t* bytes, size_t size) = 0;
  using Stream::read;
  virtual void flush() = 0;
  virtual void stop() = 0;
  virtual uint8_t connected() = 0;
};
