/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Error numbers of the public API. Calls of libdaos return 0 or the negative of one of these; libdfs and libduns return
 * positive errno values instead.
 */
#ifndef CAIRN_DAOS_ERRNO_H
#define CAIRN_DAOS_ERRNO_H

#if defined(__cplusplus)
extern "C" {
#endif

#pragma GCC visibility push(default)

enum daos_errno {
    DER_SUCCESS = 0,
    DER_ERR_GURT_BASE = 1000,
    /** Permission denied. */
    DER_NO_PERM = 1001,
    /** Invalid or closed handle. */
    DER_NO_HDL = 1002,
    /** Invalid argument. */
    DER_INVAL = 1003,
    /** Already exists. */
    DER_EXIST = 1004,
    /** Does not exist. */
    DER_NONEXIST = 1005,
    /** Peer cannot be reached. */
    DER_UNREACH = 1006,
    /** No space left on the storage target. */
    DER_NOSPACE = 1007,
    /** Already done. */
    DER_ALREADY = 1008,
    /** Out of memory. */
    DER_NOMEM = 1009,
    /** Not implemented. */
    DER_NOSYS = 1010,
    /** Timed out. */
    DER_TIMEDOUT = 1011,
    /** Resource is busy. */
    DER_BUSY = 1012,
    /** Try again. */
    DER_AGAIN = 1013,
    /** Incompatible protocol. */
    DER_PROTO = 1014,
    /** Library is not initialised. */
    DER_UNINIT = 1015,
    /** Buffer too short, result truncated. */
    DER_TRUNC = 1016,
    /** Value or structure too large. */
    DER_OVERFLOW = 1017,
    /** Operation was cancelled. */
    DER_CANCELED = 1018,
    /** Not a member of the group or group is too old. */
    DER_OOG = 1019,
    /** Network transport failed. */
    DER_HG = 1020,
    /** Request type is not registered. */
    DER_UNREG = 1021,
    /** Address string cannot be made. */
    DER_ADDRSTR_GEN = 1022,
    /** Process manager failed. */
    DER_PMIX = 1023,
    /** Request must be forwarded. */
    DER_IVCB_FORWARD = 1024,
    /** Unspecified error. */
    DER_MISC = 1025,
    /** Bad path. */
    DER_BADPATH = 1026,
    /** Not a directory. */
    DER_NOTDIR = 1027,
    /** Collective request reached only part of the group. */
    DER_CORPC_INCOMPLETE = 1028,
    /** No rank is subscribed to events. */
    DER_NO_RAS_RANK = 1029,
    /** Not attached to a service group. */
    DER_NOTATTACH = 1030,
    /** Values do not match. */
    DER_MISMATCH = 1031,
    /** Rank or target is excluded. */
    DER_EXCLUDED = 1032,
    /** Request handler sent no reply. */
    DER_NOREPLY = 1033,
    /** Refused, service is overloaded. */
    DER_DOS = 1034,
    /** Wrong target for this request. */
    DER_BAD_TARGET = 1035,
    /** Group versions differ. */
    DER_GRPVER = 1036,
    /** Clocks differ by more than the allowed skew. */
    DER_HLC_SYNC = 1037,
    /** No shared memory left. */
    DER_NO_SHMEM = 1038,
    /** Metric cannot be added. */
    DER_ADD_METRIC_FAILED = 1039,
    /** End of a duration without its start. */
    DER_DURATION_MISMATCH = 1040,
    /** Operation does not apply to this type of metric. */
    DER_OP_NOT_PERMITTED = 1041,
    /** Path name is too long. */
    DER_EXCEEDS_PATH_LEN = 1042,
    /** Metric does not exist. */
    DER_METRIC_NOT_FOUND = 1043,
    /** No permission for the shared memory segment. */
    DER_SHMEM_PERMS = 1044,
    /** Network transport is beyond repair. */
    DER_HG_FATAL = 1045,
    /** Quota is used up. */
    DER_QUOTA_LIMIT = 1046,
    DER_ERR_DAOS_BASE = 2000,
    /** Input/output error. */
    DER_IO = 2001,
    /** Memory cannot be freed. */
    DER_FREE_MEM = 2002,
    /** Entry not found. */
    DER_ENOENT = 2003,
    /** Unknown object type. */
    DER_NOTYPE = 2004,
    /** Unknown object class. */
    DER_NOSCHEMA = 2005,
    /** Object is not on this target. */
    DER_NOLOCAL = 2006,
    /** Pool map version is stale. */
    DER_STALE = 2007,
    /** Not the leader of the service. */
    DER_NOTLEADER = 2008,
    /** Target cannot be created. */
    DER_TGT_CREATE = 2009,
    /** Epoch is read-only. */
    DER_EP_RO = 2010,
    /** Epoch is too old, its data is gone. */
    DER_EP_OLD = 2011,
    /** Key is too large. */
    DER_KEY2BIG = 2012,
    /** Record is too large for the buffer. */
    DER_REC2BIG = 2013,
    /** Buffers and extents do not match. */
    DER_IO_INVAL = 2014,
    /** Event queue is busy. */
    DER_EQ_BUSY = 2015,
    /** Fault domains do not match. */
    DER_DOMAIN = 2016,
    /** Service is shutting down. */
    DER_SHUTDOWN = 2017,
    /** Operation is in progress. */
    DER_INPROGRESS = 2018,
    /** Does not apply. */
    DER_NOTAPPLICABLE = 2019,
    /** Not a replica of the service. */
    DER_NOTREPLICA = 2020,
    /** Checksum mismatch. */
    DER_CSUM = 2021,
    /** Stored format is invalid. */
    DER_DF_INVAL = 2022,
    /** Stored format is of an incompatible version. */
    DER_DF_INCOMPT = 2023,
    /** Record sizes differ. */
    DER_REC_SIZE = 2024,
    /** Transaction must restart. */
    DER_TX_RESTART = 2025,
    /** Data is lost or cannot be recovered. */
    DER_DATA_LOSS = 2026,
    /** Operation was cancelled by the caller. */
    DER_OP_CANCELED = 2027,
    /** Transaction is not committed yet. */
    DER_TX_BUSY = 2028,
    /** Agent and library versions are incompatible. */
    DER_AGENT_INCOMPAT = 2029,
    /** Needs a distributed transaction. */
    DER_NEED_TX = 2030,
    /** More failures than the redundancy factor allows. */
    DER_RF = 2031,
    /** Fetch again. */
    DER_FETCH_AGAIN = 2032,
    /** Outcome of the transaction is uncertain. */
    DER_TX_UNCERTAIN = 2033,
    /** Agent cannot be reached. */
    DER_AGENT_COMM = 2034,
    /** Identifiers do not match. */
    DER_ID_MISMATCH = 2035,
    /** Retry with another target. */
    DER_TGT_RETRY = 2036,
    /** Not supported. */
    DER_NOTSUPPORTED = 2037,
    /** Control plane versions are incompatible. */
    DER_CONTROL_INCOMPAT = 2038,
    /** No service available. */
    DER_NO_SERVICE = 2039,
    /** Transaction id may have been used before. */
    DER_TX_ID_REUSED = 2040,
    /** Update again. */
    DER_UPDATE_AGAIN = 2041,
    /** Storage device input/output error. */
    DER_NVME_IO = 2042,
    /** Certificate cannot be read. */
    DER_NO_CERT = 2043,
    /** Certificate is invalid. */
    DER_BAD_CERT = 2044,
    /** Partial overwrite of an array value at the same epoch. */
    DER_VOS_PARTIAL_UPDATE = 2045,
    /** Page is being checkpointed. */
    DER_CHKPT_BUSY = 2046,
    /** Division by zero. */
    DER_DIV_BY_ZERO = 2047,
    /** Service is overloaded, retry later. */
    DER_OVERLOAD_RETRY = 2048,
    /** Former check cannot be resumed. */
    DER_NOT_RESUME = 2049,
    /** Container does not exist. */
    DER_CONT_NONEXIST = 2050,
    /** Container is being destroyed. */
    DER_CONT_DESTROYING = 2051,
    /** Item is to be ignored. */
    DER_IGNORE = 2052,
    /** One past the highest number in use. */
    DER_LAST_VALID = 2053,
    /** Stands for any number that is not in this list. */
    DER_UNKNOWN = 501000
};

/** Former name of DER_EXCLUDED. */
#define DER_EVICTED DER_EXCLUDED

/**
 * Name of an error number ("DER_NONEXIST"), which may be given positive or negative. Zero gives "DER_SUCCESS", a number that is not
 * in the list "DER_UNKNOWN". The string is static.
 */
const char *d_errstr(int errnum);

/** One phrase in English for an error number, which may be given positive or negative. The string is static. */
const char *d_errdesc(int errnum);

#ifndef DF_RC
/** printf format and arguments for a return code: name, number and phrase. */
#define DF_RC "%s(%d): '%s'"
#define DP_RC(rc) d_errstr(rc), rc, d_errdesc(rc)
#endif

#pragma GCC visibility pop

#if defined(__cplusplus)
}
#endif

#endif /* CAIRN_DAOS_ERRNO_H */
