// SPDX-License-Identifier: MIT
// A libnvidia-ml.so.1 whose cards live in the file named by RIGPANEL_FAKE_NVML, so that the real
// binding runs and what was set outlives the process, as on real cards.
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "layout.h"

_Static_assert(sizeof(State) == STATE_SIZE, "layout.py and this compiler disagree");

typedef int Status;
typedef void *Device;
enum {
  OK = 0, UNINITIALIZED = 1, INVALID = 2, NOT_SUPPORTED = 3, NO_PERMISSION = 4, NOT_FOUND = 6,
  TOO_SMALL = 7, DRIVER_NOT_LOADED = 9, LOST = 15, WRONG_VERSION = 25, UNKNOWN = 999
};

static State *state;
static int users;                      // nvmlInit calls not yet answered by a shutdown
static unsigned generation;            // a handle is good for one start of the library
static int listed[MAX_CARDS], listed_count;
static unsigned losses_at_start[MAX_CARDS];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void wait_ms(unsigned ms) {
  struct timespec time = {ms / 1000, (long)(ms % 1000) * 1000000L};
  if (ms) nanosleep(&time, NULL);
}

static int64_t now_ms(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (int64_t)time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

static int map_state(void) {
  const char *path = getenv("RIGPANEL_FAKE_NVML");
  if (state) munmap(state, sizeof(State)), state = NULL;
  if (!path) return 0;
  int file = open(path, O_RDWR | O_CLOEXEC);
  if (file < 0) return 0;
  struct stat about;
  void *map = MAP_FAILED;
  if (!fstat(file, &about) && about.st_size >= (off_t)sizeof(State))
    map = mmap(NULL, sizeof(State), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  close(file);
  if (map == MAP_FAILED) return 0;
  state = map;
  return state->magic == STATE_MAGIC && state->size == sizeof(State);
}

static void count(const char *function) {
  pthread_mutex_lock(&lock);
  unsigned at = 0;
  while (at < state->counter_count && strcmp(state->counters[at].function, function)) at++;
  if (at < MAX_COUNTERS) {
    if (at == state->counter_count) {
      strncpy(state->counters[at].function, function, sizeof state->counters[at].function - 1);
      state->counter_count++;
    }
    state->counters[at].calls++;
  }
  pthread_mutex_unlock(&lock);
}

static Status fault(const char *function, int card) {
  for (unsigned at = 0; at < state->fault_count; at++) {
    Fault *f = &state->faults[at];
    if (strcmp(f->function, function) || (f->card >= 0 && f->card != card)) continue;
    if (f->after-- > 0) continue;
    f->after = 0;
    return f->error;
  }
  return OK;
}

// What every call on a card does first: finds it, takes its time, and fails as it was told to.
static Status enter(const char *function, Device device, Card **card) {
  if (!users || !state) return UNINITIALIZED;
  count(function);
  uintptr_t handle = (uintptr_t)device;
  unsigned index = (unsigned)(handle & 0xff) - 1;
  if (index >= MAX_CARDS || handle >> 8 != generation) return INVALID;
  *card = &state->cards[index];
  wait_ms(state->slow_ms + (*card)->slow_ms);
  // The driver keeps who a card is; a handle given out for a lost one still tells that.
  int remembered = (*card)->lost == 2 && (!strcmp(function, "nvmlDeviceGetUUID") ||
    !strcmp(function, "nvmlDeviceGetName") || !strcmp(function, "nvmlDeviceGetPciInfo_v3"));
  int stale = (*card)->times_lost != losses_at_start[index];
  if (stale || ((*card)->lost && !remembered)) return (*card)->lost_error;
  return fault(function, (int)index);
}

#define ENTER(device) \
  Card *card = NULL; \
  Status entered = enter(__func__, device, &card); \
  if (entered != OK) return entered

#define SYSTEM() \
  if (!users || !state) return UNINITIALIZED; \
  count(__func__); \
  wait_ms(state->slow_ms); \
  { Status failed = fault(__func__, -1); if (failed != OK) return failed; }

static Status put_text(char *out, unsigned length, const char *text) {
  if (!out) return INVALID;
  if (strlen(text) + 1 > length) return TOO_SMALL;
  strcpy(out, text);
  return OK;
}

const char *nvmlErrorString(Status status) {
  switch (status) {
    case OK: return "Success";
    case LOST: return "GPU is lost";
    case 18: return "Driver/library version mismatch";
    default: return "Unknown Error";
  }
}

Status nvmlInitWithFlags(unsigned flags) {
  (void)flags;
  if (users) return users++, OK;
  if (!map_state()) return DRIVER_NOT_LOADED;
  count(__func__);
  if (state->init_error) return state->init_error;
  listed_count = 0;
  for (int at = 0; at < state->card_count && at < MAX_CARDS; at++) {
    losses_at_start[at] = state->cards[at].times_lost;
    if (!state->cards[at].unlisted) listed[listed_count++] = at;
  }
  generation = generation % 0x7fff + 1;
  state->inits++;
  users = 1;
  return OK;
}

Status nvmlInit_v2(void) { return nvmlInitWithFlags(0); }

Status nvmlShutdown(void) {
  if (!users) return UNINITIALIZED;
  users--;
  return OK;
}

Status nvmlSystemGetDriverVersion(char *out, unsigned length) {
  SYSTEM();
  return put_text(out, length, state->driver_version);
}

Status nvmlSystemGetNVMLVersion(char *out, unsigned length) {
  SYSTEM();
  return put_text(out, length, state->nvml_version);
}

Status nvmlDeviceGetCount_v2(unsigned *out) {
  SYSTEM();
  *out = (unsigned)listed_count;
  return OK;
}

static Status give_handle(int index, Device *out) {
  Card *card = &state->cards[index];
  Status failed = fault("nvmlDeviceGetHandleByIndex_v2", index);
  if (failed) return failed;
  if (card->lost == 1 || card->times_lost != losses_at_start[index]) return card->lost_error;
  *out = (Device)(((uintptr_t)generation << 8) | (uintptr_t)(index + 1));
  return OK;
}

Status nvmlDeviceGetHandleByIndex_v2(unsigned index, Device *out) {
  if (!users || !state) return UNINITIALIZED;
  count(__func__);
  if (index >= (unsigned)listed_count) return INVALID;
  return give_handle(listed[index], out);
}

Status nvmlDeviceGetHandleByUUID(const char *uuid, Device *out) {
  if (!users || !state) return UNINITIALIZED;
  count(__func__);
  for (int at = 0; at < listed_count; at++)
    if (!strcmp(state->cards[listed[at]].uuid, uuid)) return give_handle(listed[at], out);
  return NOT_FOUND;
}

Status nvmlDeviceGetHandleByPciBusId_v2(const char *bus_id, Device *out) {
  if (!users || !state) return UNINITIALIZED;
  count(__func__);
  for (int at = 0; at < listed_count; at++)
    if (!strcasecmp(state->cards[listed[at]].pci_bus_id, bus_id))
      return give_handle(listed[at], out);
  return NOT_FOUND;
}

Status nvmlDeviceGetIndex(Device device, unsigned *out) {
  ENTER(device);
  for (int at = 0; at < listed_count; at++)
    if (&state->cards[listed[at]] == card) return *out = (unsigned)at, OK;
  return NOT_FOUND;
}

Status nvmlDeviceGetName(Device device, char *out, unsigned length) {
  ENTER(device);
  return put_text(out, length, card->name);
}

Status nvmlDeviceGetUUID(Device device, char *out, unsigned length) {
  ENTER(device);
  return put_text(out, length, card->uuid);
}

typedef struct {
  char legacy[16];
  unsigned domain, bus, device, device_id, subsystem_id;
  char bus_id[32];
} Pci;

static void fill_pci(Pci *out, const char *bus_id) {
  memset(out, 0, sizeof *out);
  sscanf(bus_id, "%x:%x:%x", &out->domain, &out->bus, &out->device);
  snprintf(out->bus_id, sizeof out->bus_id, "%.31s", bus_id);
  snprintf(out->legacy, sizeof out->legacy, "%04X:%02X:%02X.0", out->domain & 0xffff,
           out->bus & 0xff, out->device & 0xff);
}

Status nvmlDeviceGetPciInfo_v3(Device device, Pci *out) {
  ENTER(device);
  fill_pci(out, card->pci_bus_id);
  return OK;
}

static int felt_c(const Card *card) { return card->frozen ? card->frozen_c : card->temperature_c; }

Status nvmlDeviceGetTemperature(Device device, unsigned sensor, unsigned *out) {
  ENTER(device);
  if (sensor) return INVALID;
  *out = (unsigned)felt_c(card);
  return OK;
}

typedef struct { unsigned version, sensor; int temperature; } Temperature;

Status nvmlDeviceGetTemperatureV(Device device, Temperature *out) {
  ENTER(device);
  if (out->version != (sizeof *out | 1u << 24)) return WRONG_VERSION;
  if (out->sensor) return INVALID;
  out->temperature = felt_c(card);
  return OK;
}

typedef struct { unsigned version; int margin; } Margin;

Status nvmlDeviceGetMarginTemperature(Device device, Margin *out) {
  ENTER(device);
  if (out->version != (sizeof *out | 1u << 24)) return WRONG_VERSION;
  out->margin = card->margin_c;
  return OK;
}

Status nvmlDeviceGetTemperatureThreshold(Device device, unsigned which, unsigned *out) {
  ENTER(device);
  if (which > 1) return NOT_SUPPORTED;
  *out = which ? card->slowdown_c : card->shutdown_c;
  return OK;
}

typedef struct {
  uint32_t field, scope;
  int64_t timestamp, latency;
  uint32_t type;
  Status status;
  union { double d; uint32_t ui; uint64_t ull; int32_t si; } value;
} Field;

Status nvmlDeviceGetFieldValues(Device device, int length, Field *fields) {
  ENTER(device);
  for (int at = 0; at < length; at++) {
    Field *f = &fields[at];
    f->timestamp = now_ms() * 1000;
    f->status = OK;
    f->value.ull = 0;
    switch (f->field) {
      case 138: case 139: f->type = 3, f->value.ull = card->nvlink_kib; break;
      case 186: f->type = 1, f->value.ui = card->power_mw; break;
      case 193: f->type = 5, f->value.si = card->shutdown_tlimit_c; break;
      case 194: f->type = 5, f->value.si = card->slowdown_tlimit_c; break;
      default: f->status = NOT_SUPPORTED;
    }
  }
  return OK;
}

#define READ(function, type, expression) \
  Status function(Device device, type *out) { \
    ENTER(device); \
    if (!out) return INVALID; \
    *out = (expression); \
    return OK; \
  }

READ(nvmlDeviceGetPowerUsage, unsigned, card->power_mw)
READ(nvmlDeviceGetPowerManagementLimit, unsigned, card->limit_mw)
READ(nvmlDeviceGetEnforcedPowerLimit, unsigned, card->limit_mw)
READ(nvmlDeviceGetPowerManagementDefaultLimit, unsigned, card->limit_default_mw)
READ(nvmlDeviceGetTotalEnergyConsumption, uint64_t, card->energy_mj)
READ(nvmlDeviceGetCurrentClocksEventReasons, uint64_t, card->throttle_mask)
READ(nvmlDeviceGetCurrentClocksThrottleReasons, uint64_t, card->throttle_mask)
READ(nvmlDeviceGetCurrPcieLinkGeneration, unsigned, card->pcie_gen)
READ(nvmlDeviceGetCurrPcieLinkWidth, unsigned, card->pcie_width)
READ(nvmlDeviceGetMaxPcieLinkGeneration, unsigned, card->pcie_max_gen)
READ(nvmlDeviceGetMaxPcieLinkWidth, unsigned, card->pcie_max_width)

Status nvmlDeviceGetPowerManagementLimitConstraints(Device device, unsigned *low, unsigned *high) {
  ENTER(device);
  *low = card->limit_min_mw;
  *high = card->limit_max_mw;
  return OK;
}

typedef struct { unsigned gpu, memory; } Rates;
READ(nvmlDeviceGetUtilizationRates, Rates, ((Rates){card->utilization_pct, 0}))

typedef struct { uint64_t total, free, used; } Memory;
typedef struct { unsigned version; uint64_t total, reserved, free, used; } Memory2;

Status nvmlDeviceGetMemoryInfo(Device device, Memory *out) {
  ENTER(device);
  out->total = card->memory_total_bytes;
  out->used = card->memory_used_bytes + card->memory_reserved_bytes;
  out->free = out->total - out->used;
  return OK;
}

Status nvmlDeviceGetMemoryInfo_v2(Device device, Memory2 *out) {
  ENTER(device);
  if (out->version != (sizeof *out | 2u << 24)) return WRONG_VERSION;
  out->total = card->memory_total_bytes;
  out->used = card->memory_used_bytes;
  out->reserved = card->memory_reserved_bytes;
  out->free = out->total - out->used - out->reserved;
  return OK;
}

Status nvmlDeviceGetClockInfo(Device device, unsigned clock, unsigned *out) {
  ENTER(device);
  if (clock > 3) return INVALID;
  *out = clock == 2 ? card->clock_mem_mhz : card->clock_sm_mhz;
  return OK;
}

Status nvmlDeviceGetPcieThroughput(Device device, unsigned counter, unsigned *out) {
  ENTER(device);
  if (counter > 1) return INVALID;
  wait_ms(state->pcie_block_ms);
  *out = counter ? card->pcie_rx_kib_s : card->pcie_tx_kib_s;
  return OK;
}

#define LINK(device, link) \
  ENTER(device); \
  if (card->link_count < 0) return NOT_SUPPORTED; \
  if ((link) >= (unsigned)card->link_count) return INVALID

Status nvmlDeviceGetNvLinkState(Device device, unsigned link, unsigned *out) {
  LINK(device, link);
  *out = card->link_active_mask >> link & 1u;
  return OK;
}

Status nvmlDeviceGetNvLinkVersion(Device device, unsigned link, unsigned *out) {
  LINK(device, link);
  *out = card->link_version;
  return OK;
}

Status nvmlDeviceGetNvLinkRemotePciInfo_v2(Device device, unsigned link, Pci *out) {
  LINK(device, link);
  if (!(card->link_active_mask >> link & 1u)) return NOT_SUPPORTED;
  int peer = card->link_peer[link];
  fill_pci(out, peer < 0 || peer >= MAX_CARDS ? "00000000:C1:00.0" : state->cards[peer].pci_bus_id);
  return OK;
}

typedef struct { unsigned pid; uint64_t memory; unsigned gpu, compute; } Running;

static Status running(const Card *card, unsigned graphics, unsigned *length, Running *out) {
  unsigned room = *length, found = 0;
  for (unsigned at = 0; at < card->process_count; at++) {
    const Process *process = &card->processes[at];
    if (process->graphics != graphics) continue;
    if (out && found < room)
      out[found] = (Running){process->pid, process->memory_bytes, 0xffffffffu, 0xffffffffu};
    found++;
  }
  *length = found;
  return found > room ? TOO_SMALL : OK;
}

#define PROCESSES(function, graphics) \
  Status function(Device device, unsigned *length, Running *out) { \
    ENTER(device); \
    return running(card, graphics, length, out); \
  }

PROCESSES(nvmlDeviceGetComputeRunningProcesses_v2, 0)
PROCESSES(nvmlDeviceGetComputeRunningProcesses_v3, 0)
PROCESSES(nvmlDeviceGetGraphicsRunningProcesses_v2, 1)
PROCESSES(nvmlDeviceGetGraphicsRunningProcesses_v3, 1)

Status nvmlDeviceGetNumFans(Device device, unsigned *out) {
  ENTER(device);
  if (card->fan_count < 0) return NOT_SUPPORTED;
  *out = (unsigned)card->fan_count;
  return OK;
}

static void put(Fan *fan, unsigned manual, unsigned duty) {
  fan->manual = manual;
  fan->duty_pct = fan->target_pct = duty;
  fan->rpm = duty * 30;
  fan->due_ms = 0;
}

static Fan *shown(Fan *fan) {
  if (fan->due_ms && now_ms() >= fan->due_ms) put(fan, fan->due_manual, fan->due_pct);
  return fan;
}

#define FAN(device, number) \
  ENTER(device); \
  if (card->fan_count <= 0) return NOT_SUPPORTED; \
  if ((number) >= (unsigned)card->fan_count) return INVALID; \
  Fan *fan = shown(&card->fans[number])

Status nvmlDeviceGetFanSpeed(Device device, unsigned *out) {
  FAN(device, 0u);
  *out = fan->duty_pct;
  return OK;
}

Status nvmlDeviceGetFanSpeed_v2(Device device, unsigned number, unsigned *out) {
  FAN(device, number);
  *out = fan->duty_pct;
  return OK;
}

Status nvmlDeviceGetTargetFanSpeed(Device device, unsigned number, unsigned *out) {
  FAN(device, number);
  *out = fan->target_pct;
  return OK;
}

typedef struct { unsigned version, fan, speed; } Speed;

Status nvmlDeviceGetFanSpeedRPM(Device device, Speed *out) {
  if (out->version != (sizeof *out | 1u << 24)) return WRONG_VERSION;
  FAN(device, out->fan);
  out->speed = fan->rpm;
  return OK;
}

Status nvmlDeviceGetMinMaxFanSpeed(Device device, unsigned *low, unsigned *high) {
  FAN(device, 0u);
  (void)fan;
  *low = card->min_duty_pct;
  *high = card->max_duty_pct;
  return OK;
}

Status nvmlDeviceGetFanControlPolicy_v2(Device device, unsigned number, unsigned *out) {
  FAN(device, number);
  *out = fan->manual;
  return OK;
}

// The setters. Each order is noted with its outcome, the refused ones too.

static Status note(const char *function, const Card *card, int fan, int value, Status status) {
  pthread_mutex_lock(&lock);
  if (state->write_count < MAX_WRITES) {
    Write *write = &state->writes[state->write_count];
    strncpy(write->function, function, sizeof write->function - 1);
    write->at_ms = now_ms();
    write->pid = getpid();
    write->card = (int)(card - state->cards);
    write->fan = fan;
    write->value = value;
    write->status = status;
    state->write_count++;
  }
  pthread_mutex_unlock(&lock);
  return status;
}

static int may_set(void) {
  return state->setters_allowed && (!state->root_only || geteuid() == 0);
}

static void turn(Fan *fan, unsigned manual, unsigned duty) {
  if (fan->deaf) return;
  if (!fan->late_ms) {
    put(fan, manual, duty);
    return;
  }
  if (!fan->due_ms) fan->due_ms = now_ms() + fan->late_ms;
  fan->due_manual = manual;
  fan->due_pct = duty;
}

#define ORDER(device, number, value) \
  Card *card = NULL; \
  Status order = enter(__func__, device, &card); \
  if (order == OK && !may_set()) order = NO_PERMISSION; \
  if (order == OK && card->fan_count <= 0) order = NOT_SUPPORTED; \
  if (order == OK && (number) >= (unsigned)card->fan_count) order = INVALID; \
  if (order != OK) return card ? note(__func__, card, (int)(number), (int)(value), order) : order; \
  Fan *fan = shown(&card->fans[number])

Status nvmlDeviceSetFanSpeed_v2(Device device, unsigned number, unsigned duty) {
  ORDER(device, number, duty);
  int outside = duty < card->min_duty_pct || duty > card->max_duty_pct;
  if (outside && !state->range_unchecked)
    return note(__func__, card, (int)number, (int)duty, INVALID);
  turn(fan, 1, duty);
  return note(__func__, card, (int)number, (int)duty, OK);
}

Status nvmlDeviceSetDefaultFanSpeed_v2(Device device, unsigned number) {
  ORDER(device, number, -1);
  turn(fan, 0, fan->auto_pct);
  return note(__func__, card, (int)number, -1, OK);
}

Status nvmlDeviceSetFanControlPolicy(Device device, unsigned number, unsigned policy) {
  ORDER(device, number, policy);
  if (policy > 1) return note(__func__, card, (int)number, (int)policy, INVALID);
  turn(fan, policy, policy ? fan->duty_pct : fan->auto_pct);
  return note(__func__, card, (int)number, (int)policy, OK);
}

Status nvmlDeviceSetPowerManagementLimit(Device device, unsigned limit_mw) {
  Card *card = NULL;
  Status status = enter(__func__, device, &card);
  if (!card) return status;
  if (status == OK && !may_set()) status = NO_PERMISSION;
  if (status == OK && (limit_mw < card->limit_min_mw || limit_mw > card->limit_max_mw))
    status = INVALID;
  if (status == OK) card->limit_mw = limit_mw;
  return note(__func__, card, -1, (int)limit_mw, status);
}
