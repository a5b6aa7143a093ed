/* Structured logs on stderr, one line each (logfmt): ts level svc event key=value… msg. The event
 * is a stable name that alerts may match. Secrets never appear: values are the caller's choice. Any
 * thread; a line is one write(2). */
#ifndef COMMON_OBS_LOG_H
#define COMMON_OBS_LOG_H

#include <stdint.h>

enum log_level { LOG_ERROR, LOG_WARNING, LOG_INFO, LOG_DEBUG };

/* `service`: static string. Called once before any thread starts. */
void log_init(const char *service, enum log_level level);
/* "error" "warning" "info" "debug"; -1 for anything else. */
int log_level_parse(const char *text);
/* `event`: stable lower_case name. fmt: the message for a person, without newline. */
void log_event(enum log_level level, const char *event, const char *fmt, ...)
        __attribute__((format(printf, 3, 4)));

#define log_error(event, ...)   log_event(LOG_ERROR, event, __VA_ARGS__)
#define log_warning(event, ...) log_event(LOG_WARNING, event, __VA_ARGS__)
#define log_info(event, ...)    log_event(LOG_INFO, event, __VA_ARGS__)
#define log_debug(event, ...)   log_event(LOG_DEBUG, event, __VA_ARGS__)

#endif
