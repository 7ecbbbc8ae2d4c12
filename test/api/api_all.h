/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Every public header, as a program that uses everything would include them. */
#ifndef CAIRN_TEST_API_ALL_H
#define CAIRN_TEST_API_ALL_H

#include <daos.h>
#include <daos_fs.h>
#include <daos_fs_sys.h>
#include <daos_pipeline.h>
#include <daos_task.h>
#include <daos_uns.h>
#include <gurt/common.h>
#include <gurt/hash.h>
#include <gurt/list.h>

#endif
