#include "tests/bench/recvlogical.h"

#include <stdio.h>

#include "tests/bench/bench.h"
#include "tests/bench/db.h"
#include "tests/bench/spawn.h"

void recvlogical_create(struct bench *b, int number)
{
        db_exec(b->db, "select pg_create_logical_replication_slot('%s_ref%d', 'pgoutput')", b->name,
                number);
}

uint64_t recvlogical_drain(struct bench *b, int number, const char *end_lsn)
{
        char slot[64], publication[80];
        snprintf(slot, sizeof slot, "%s_ref%d", b->name, number);
        snprintf(publication, sizeof publication, "publication_names=%s", b->name);
        return spawn_run((const char *[]){spawn_pg_program("pg_recvlogical"), "-d",
                                          b->opt->database_url, "--slot", slot, "--start",
                                          "--no-loop", "--endpos", end_lsn, "-o", "proto_version=1",
                                          "-o", publication, "-f", "/dev/null", NULL},
                         NULL);
}

void recvlogical_drop(struct bench *b, int number)
{
        db_exec(b->db, "select pg_drop_replication_slot('%s_ref%d')", b->name, number);
}
