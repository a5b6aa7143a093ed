#include "tests/bench/plot.h"

#include <math.h>
#include <stdio.h>
#include <sys/stat.h>

#include "common/base/buf.h"
#include "common/base/mem.h"
#include "tests/bench/bench.h"
#include "tests/bench/spawn.h"

enum { SCRIPT_BYTES = 4 << 20, POINTS = 200 };

struct plot {
        char base[400]; /* <dir>/<mode> */
        struct buf data, lines;
        int curves;
};

struct plot *plot_new(const char *dir, const char *mode)
{
        struct plot *p = mem_new(struct plot);
        mkdir(dir, 0777); /* when it cannot be made, writing says so */
        snprintf(p->base, sizeof p->base, "%.300s/%s", dir, mode);
        buf_init(&p->data, SCRIPT_BYTES);
        buf_init(&p->lines, SCRIPT_BYTES);
        return p;
}

/* The x axis is 1/(1-q): each step of ten is one more nine. */
void plot_hist(struct plot *p, const char *label, const struct hist *h)
{
        if (h->count == 0)
                return;
        buf_printf(&p->data, "$curve%d << END\n", p->curves);
        double top = h->count < 2 ? 2 : (double)h->count;
        for (int i = 0; i <= POINTS; i++) {
                double x = pow(top, (double)i / POINTS);
                buf_printf(&p->data, "%g %g\n", x, (double)hist_quantile(h, 1 - 1 / x) / 1e6);
        }
        buf_puts(&p->data, "END\n");
        buf_printf(&p->lines, "%s$curve%d using 1:2 with lines title \"%s\"",
                   p->curves ? ", \\\n     " : "", p->curves, label);
        p->curves++;
}

static void write_script(struct plot *p, const char *path)
{
        FILE *f = fopen(path, "w");
        if (!f)
                fail("cannot write %s", path);
        fprintf(f, "set terminal svg size 900,500\nset output '%s.svg'\n", p->base);
        fprintf(f, "set logscale xy\nset grid\nset key left top noenhanced\nset ylabel "
                   "'milliseconds'\n");
        fprintf(f, "set xlabel 'quantile'\nset xtics ('50%%%%' 2, '90%%%%' 10, '99%%%%' 100, "
                   "'99.9%%%%' "
                   "1000, '99.99%%%%' 10000)\n");
        fprintf(f, "%.*s", SLICE_FMT(buf_slice(&p->data)));
        fprintf(f, "plot %.*s\n", SLICE_FMT(buf_slice(&p->lines)));
        if (fclose(f))
                fail("cannot write %s", path);
}

void plot_end(struct plot *p)
{
        if (p->curves) {
                char path[420];
                snprintf(path, sizeof path, "%s.gp", p->base);
                write_script(p, path);
                spawn_run((const char *[]){"gnuplot", path, NULL}, NULL);
        }
        buf_fini(&p->data);
        buf_fini(&p->lines);
        mem_free(p);
}
