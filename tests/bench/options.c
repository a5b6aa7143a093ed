#include "tests/bench/options.h"

#include <errno.h>
#include <getopt.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum option_type { OPT_TEXT, OPT_NUMBER, OPT_LIST, OPT_FLAG };

static const struct option_row {
        const char *name;
        enum option_type type;
        size_t at;
        const char *what;
} option_rows[] = {
        {"url", OPT_TEXT, offsetof(struct options, url),
         "the server (default http://127.0.0.1:$SLUICE_HTTP_PORT or :3000)"},
        {"database-url", OPT_TEXT, offsetof(struct options, database_url),
         "its database (default $DATABASE_URL)"},
        {"secret", OPT_TEXT, offsetof(struct options, secret),
         "sent as the query parameter secret"},
        {"pids", OPT_TEXT, offsetof(struct options, pids),
         "directory of the server's pid files, or pids with commas (default $SLUICE_DATA_DIR/run)"},
        {"disk", OPT_TEXT, offsetof(struct options, disk),
         "directory of the server's files (default $SLUICE_DATA_DIR); what is called postgres* in "
         "it does not count"},
        {"json", OPT_TEXT, offsetof(struct options, json_file), "write everything to this file"},
        {"summary", OPT_TEXT, offsetof(struct options, summary_file),
         "append the figures that have targets to this file"},
        {"plot", OPT_TEXT, offsetof(struct options, plot_dir),
         "draw percentile curves into this directory (gnuplot)"},
        {"rows", OPT_LIST, offsetof(struct options, rows),
         "table sizes (initial), rows per transaction (fanout, bigtx)"},
        {"clients", OPT_LIST, offsetof(struct options, clients),
         "numbers of clients (fanout, park, herd, collapse, storm, own)"},
        {"shapes", OPT_LIST, offsetof(struct options, shapes),
         "numbers of shapes (unrelated, replicate, overlap, restart)"},
        {"seconds", OPT_NUMBER, offsetof(struct options, seconds),
         "length of a measurement (live, idle, serve, unrelated)"},
        {"changes", OPT_NUMBER, offsetof(struct options, changes),
         "changes in 1,000-row transactions (tail, replicate, disk); a tenth of it one by one"},
        {"rate", OPT_NUMBER, offsetof(struct options, rate),
         "inserts per second (live, unrelated)"},
        {"repeat", OPT_NUMBER, offsetof(struct options, repeat),
         "how often a case is run (initial, fanout, herd, own, overlap); changes (collapse)"},
        {"sse", OPT_FLAG, offsetof(struct options, sse),
         "server-sent events instead of long polls (live, fanout, park)"},
        {"verbose", OPT_FLAG, offsetof(struct options, verbose),
         "say on stderr what is being done"},
};
enum { N_OPTIONS = sizeof option_rows / sizeof *option_rows };

_Noreturn void options_usage(int status, const struct mode *modes, int n_modes)
{
        FILE *out = status ? stderr : stdout;
        fprintf(out, "usage: sluice-bench MODE [--option VALUE …]\n\nmodes:\n");
        for (int i = 0; i < n_modes; i++)
                fprintf(out, "  %-14s %s\n", modes[i].name, modes[i].what);
        fprintf(out, "\noptions (lists with commas; k and m multiply by 1,000 and 1,000,000):\n");
        for (int i = 0; i < N_OPTIONS; i++)
                fprintf(out, "  --%-14s %s\n", option_rows[i].name, option_rows[i].what);
        exit(status);
}

static uint64_t parse_number(const char *name, const char *text, const char **end)
{
        char *stop;
        errno = 0;
        uint64_t v = strtoull(text, &stop, 10);
        if (stop == text || errno || *text == '-')
                fail("--%s: not a number: %s", name, text);
        if (*stop == 'k' || *stop == 'm')
                v *= *stop++ == 'k' ? 1000 : 1000000;
        *end = stop;
        return v;
}

static void parse_list(const char *name, const char *text, struct list_of_numbers *out)
{
        out->count = 0;
        for (const char *at = text;;) {
                if (out->count == LIST_MAX)
                        fail("--%s: at most %d numbers", name, LIST_MAX);
                out->at[out->count++] = parse_number(name, at, &at);
                if (*at == 0)
                        return;
                if (*at++ != ',')
                        fail("--%s: not a list of numbers: %s", name, text);
        }
}

static void set_option(struct options *o, const struct option_row *row, const char *text)
{
        char *field = (char *)o + row->at;
        const char *end = "";
        switch (row->type) {
        case OPT_TEXT:
                *(const char **)(void *)field = text;
                break;
        case OPT_NUMBER:
                *(uint64_t *)(void *)field = parse_number(row->name, text, &end);
                break;
        case OPT_LIST:
                parse_list(row->name, text, (struct list_of_numbers *)(void *)field);
                break;
        case OPT_FLAG:
                *(bool *)(void *)field = true;
                break;
        }
        if (*end)
                fail("--%s: not a number: %s", row->name, text);
}

static void default_options(struct options *o)
{
        static char url[64], pids[300];
        const char *port = getenv("SLUICE_HTTP_PORT"), *data = getenv("SLUICE_DATA_DIR");
        snprintf(url, sizeof url, "http://127.0.0.1:%.10s", port ? port : "3000");
        snprintf(pids, sizeof pids, data ? "%.250s/run" : "", data);
        *o = (struct options){.url = url,
                              .database_url = getenv("DATABASE_URL"),
                              .pids = pids,
                              .disk = data ? data : ""};
}

int options_parse(int argc, char **argv, const struct mode *modes, int n_modes, struct options *o)
{
        default_options(o);
        struct option longs[N_OPTIONS + 2] = {0};
        for (int i = 0; i < N_OPTIONS; i++)
                longs[i] = (struct option){
                        option_rows[i].name,
                        option_rows[i].type == OPT_FLAG ? no_argument : required_argument, NULL, i};
        longs[N_OPTIONS] = (struct option){"help", no_argument, NULL, 'h'};
        int c;
        while ((c = getopt_long(argc, argv, "h", longs, NULL)) != -1) {
                if (c == 'h' || c == '?')
                        options_usage(c == 'h' ? 0 : 2, modes, n_modes);
                set_option(o, &option_rows[c], optarg);
        }
        return optind;
}
