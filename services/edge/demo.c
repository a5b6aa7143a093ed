#include "services/edge/demo.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/err.h"
#include "common/base/mem.h"
#include "services/edge/text.h"

/* A file is read whole on the loop: pages and scripts, not downloads. */
enum { DEMO_MAX_FILE = 8 << 20, DEMO_MAX_NAME = 255 };

static const struct {
        const char *suffix, *type;
} types[] = {{".html", "text/html; charset=utf-8"},
             {".js", "text/javascript; charset=utf-8"},
             {".mjs", "text/javascript; charset=utf-8"},
             {".css", "text/css; charset=utf-8"},
             {".json", "application/json; charset=utf-8"},
             {".map", "application/json; charset=utf-8"},
             {".svg", "image/svg+xml"},
             {".png", "image/png"},
             {".jpg", "image/jpeg"},
             {".ico", "image/x-icon"},
             {".woff2", "font/woff2"},
             {".wasm", "application/wasm"},
             {".txt", "text/plain; charset=utf-8"}};

static const char index_name[] = "index.html";

int demo_open(const char *dir, int *fd, struct buf *why)
{
        *fd = -1;
        if (dir[0] == '\0')
                return 0;
        *fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (*fd >= 0)
                return 0;
        buf_printf(why, "cannot open the directory %s: %s", dir, strerror(errno));
        return ERR_CONF;
}

static struct slice type_of(const char *name)
{
        size_t len = strlen(name);
        for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
                size_t n = strlen(types[i].suffix);
                if (len > n && strcmp(name + len - n, types[i].suffix) == 0)
                        return slice_cstr(types[i].type);
        }
        return SLICE_LIT("application/octet-stream");
}

/* Hidden files, `.` and `..`, and names that are no single name are not served. */
static bool is_servable(struct slice name)
{
        return name.len > 0 && name.len <= DEMO_MAX_NAME && name.p[0] != '.' &&
               !memchr(name.p, '/', name.len) && !text_has_nul(name);
}

/* Opens one name below `dir`, which is closed; symbolic links are not followed. */
static int step(int dir, const char *name, int flags)
{
        int fd = openat(dir, name, flags | O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
        close(dir);
        return fd;
}

/* Walks the segments behind /demo. The last name stays in `name`. */
static int walk(int root, const struct path *path, char name[DEMO_MAX_NAME + 1])
{
        int fd = dup(root);
        for (uint32_t i = 1; i < path->n_segments && fd >= 0; i++) {
                struct slice segment = path->segments[i];
                if (!is_servable(segment)) {
                        close(fd);
                        return -1;
                }
                memcpy(name, segment.p, segment.len);
                name[segment.len] = '\0';
                fd = step(fd, name, i + 1 < path->n_segments ? O_DIRECTORY : 0);
        }
        return fd;
}

static bool read_all(int fd, char *to, size_t size)
{
        size_t done = 0;
        while (done < size) {
                ssize_t n = read(fd, to + done, size - done);
                if (n <= 0)
                        return false;
                done += (size_t)n;
        }
        return true;
}

static void not_found(struct exchange *x)
{
        exchange_plain(x, 404, SLICE_EMPTY, SLICE_LIT("Not found"));
}

static void send_file(struct exchange *x, int fd, size_t size, const char *name)
{
        struct http_head h;
        char *bytes = http_alloc(x->r, size + 1);
        if (!read_all(fd, bytes, size)) {
                not_found(x);
                return;
        }
        struct slice body = slice_of(bytes, size);
        head_begin(&h, 200, &x->base);
        http_head_add(&h, HTTP_CONTENT_TYPE, type_of(name));
        http_head_add(&h, HTTP_CACHE_CONTROL, HEAD_NO_CACHE);
        exchange_answer(x, &h, &body, 1);
}

static void put_encoded(struct buf *out, char c)
{
        bool plain = (c >= '0' && c <= '9') || text_is_letter((unsigned char)c & 0x7f) ||
                     c == '-' || c == '_' || c == '.';
        if (plain && (unsigned char)c < 0x80)
                buf_putc(out, c);
        else
                buf_printf(out, "%%%02X", (unsigned char)c);
}

/* Relative links of a page need the slash at the end of its directory. */
static void redirect(struct exchange *x, const struct path *path)
{
        struct http_head h;
        struct buf location;
        buf_init(&location, 16 * 1024);
        for (uint32_t i = 0; i < path->n_segments; i++) {
                buf_putc(&location, '/');
                for (size_t k = 0; k < path->segments[i].len; k++)
                        put_encoded(&location, path->segments[i].p[k]);
        }
        buf_putc(&location, '/');
        struct slice value = http_dup(x->r, buf_slice(&location));
        buf_fini(&location);
        head_begin(&h, 301, &x->base);
        http_head_add(&h, HTTP_LOCATION, value);
        http_head_add(&h, HTTP_CACHE_CONTROL, HEAD_NO_CACHE);
        exchange_answer(x, &h, NULL, 0);
}

void demo_answer(struct exchange *x, const struct path *path)
{
        char name[DEMO_MAX_NAME + 1] = "";
        struct stat st;
        int root = x->w->edge->static_dir_fd;
        int fd = root >= 0 ? walk(root, path, name) : -1;
        if (fd >= 0 && fstat(fd, &st) == 0 && S_ISDIR(st.st_mode)) {
                if (!path->trailing_slash) {
                        close(fd);
                        redirect(x, path);
                        return;
                }
                memcpy(name, index_name, sizeof(index_name));
                fd = step(fd, name, 0);
        }
        if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size <= DEMO_MAX_FILE)
                send_file(x, fd, (size_t)st.st_size, name);
        else
                not_found(x);
        if (fd >= 0)
                close(fd);
}
