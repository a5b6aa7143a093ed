/* One line per event, built on the stack and handed to the kernel in one write(2), so that lines of
 * several threads and processes that share a terminal or a pipe do not mix. */
#include "common/obs/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/base/assert.h"

/* A message that is longer is cut. Escaping at most quadruples it (\xNN). */
enum { MESSAGE_MAX = 2000, LINE_MAX_BYTES = 4 * MESSAGE_MAX + 256 };

static const char *const level_names[] = {
        [LOG_ERROR] = "error",
        [LOG_WARNING] = "warning",
        [LOG_INFO] = "info",
        [LOG_DEBUG] = "debug",
};

enum { LEVELS = sizeof(level_names) / sizeof(level_names[0]) };

static const char *log_service = "sluice";
static enum log_level log_max = LOG_INFO;

void log_init(const char *service, enum log_level level)
{
        SLUICE_ASSERT(service != NULL);
        log_service = service;
        log_max = level;
}

int log_level_parse(const char *text)
{
        for (int i = 0; i < LEVELS; i++)
                if (strcmp(text, level_names[i]) == 0)
                        return i;
        return -1;
}

static size_t put_head(char *line, size_t room, enum log_level level, const char *event)
{
        struct timespec now;
        struct tm utc;
        clock_gettime(CLOCK_REALTIME, &now);
        gmtime_r(&now.tv_sec, &utc);
        char second[32];
        strftime(second, sizeof(second), "%Y-%m-%dT%H:%M:%S", &utc);
        int len = snprintf(line, room, "ts=%s.%06ldZ level=%s svc=%s event=%s msg=\"", second,
                           now.tv_nsec / 1000, level_names[level], log_service, event);
        SLUICE_ASSERT(len > 0 && (size_t)len < room);
        return (size_t)len;
}

/* Whatever would end the quoted value or the line is escaped: a message cannot forge another. */
static size_t put_escaped(char *line, const char *text)
{
        static const char hex[] = "0123456789abcdef";
        size_t at = 0;
        for (; *text; text++) {
                unsigned char c = (unsigned char)*text;
                if (c == '"' || c == '\\') {
                        line[at++] = '\\';
                        line[at++] = *text;
                } else if (c == '\n') {
                        line[at++] = '\\';
                        line[at++] = 'n';
                } else if (c < 0x20 || c == 0x7f) {
                        line[at++] = '\\';
                        line[at++] = 'x';
                        line[at++] = hex[c >> 4];
                        line[at++] = hex[c & 15];
                } else {
                        line[at++] = *text;
                }
        }
        return at;
}

static void write_line(const char *line, size_t len)
{
        while (write(STDERR_FILENO, line, len) < 0 && errno == EINTR)
                ;
}

void log_event(enum log_level level, const char *event, const char *fmt, ...)
{
        if (level > log_max)
                return;
        char message[MESSAGE_MAX], line[LINE_MAX_BYTES];
        int saved = errno;
        va_list ap;
        va_start(ap, fmt);
        vsnprintf(message, sizeof(message), fmt, ap);
        va_end(ap);

        size_t len = put_head(line, sizeof(line) - 4 * MESSAGE_MAX, level, event);
        len += put_escaped(line + len, message);
        line[len++] = '"';
        line[len++] = '\n';
        write_line(line, len);
        errno = saved;
}
