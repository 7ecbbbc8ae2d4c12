/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Goal: the public headers compile as C++ with the same facts, and their functions have C linkage.
 * Method: static_assert for each fact.
 */
#include "api_all.h"

#include <cstddef>
#include <cstdio>

#define FACT(cond) static_assert(cond, #cond);
#include "api_facts.def"

int
main()
{
    daos_handle_t coh = DAOS_HDL_INVAL;
    daos_obj_id_t oid = DAOS_OBJ_NIL;
    bool good = daos_handle_is_inval(coh) && daos_obj_id_is_nil(oid) && DER_EVICTED == DER_EXCLUDED;

    std::printf("%s api.headers_cxx 0\n", good ? "ok" : "FAIL");
    return good ? 0 : 1;
}
