/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Context switch for arm64 (AAPCS64): x19-x30, d8-d15 and fpcr go onto the old stack, the stack pointer is exchanged. It ends with
 * `br`, not `ret`, for the reason given in ult_switch_x86_64.S.
 *
 * Frame of 176 bytes, from the saved stack pointer up (ult_stack.c builds the first one):
 *     0 x19..x28   80 x29   88 x30 (resume address)   96 d8..d15   160 fpcr   168 padding
 */
#if defined(__aarch64__)
    .text

/* void ult_ctx_switch(void **save_sp, void *to_sp) */
    .globl ult_ctx_switch
    .hidden ult_ctx_switch
    .type ult_ctx_switch, %function
    .p2align 4
ult_ctx_switch:
    .cfi_startproc
    sub sp, sp, #176
    stp x19, x20, [sp, #0]
    stp x21, x22, [sp, #16]
    stp x23, x24, [sp, #32]
    stp x25, x26, [sp, #48]
    stp x27, x28, [sp, #64]
    stp x29, x30, [sp, #80]
    stp d8, d9, [sp, #96]
    stp d10, d11, [sp, #112]
    stp d12, d13, [sp, #128]
    stp d14, d15, [sp, #144]
    mrs x9, fpcr
    str x9, [sp, #160]
    mov x10, sp
    str x10, [x0]
    mov sp, x1
    ldr x10, [sp, #160]
    cmp x9, x10
    b.eq 1f
    msr fpcr, x10 /* slow, and nearly never needed */
1:
    ldp x19, x20, [sp, #0]
    ldp x21, x22, [sp, #16]
    ldp x23, x24, [sp, #32]
    ldp x25, x26, [sp, #48]
    ldp x27, x28, [sp, #64]
    ldp x29, x30, [sp, #80]
    ldp d8, d9, [sp, #96]
    ldp d10, d11, [sp, #112]
    ldp d12, d13, [sp, #128]
    ldp d14, d15, [sp, #144]
    add sp, sp, #176
    br x30
    .cfi_endproc
    .size ult_ctx_switch, .-ult_ctx_switch

/* Where a fresh stack starts: sp is 16-aligned, the frame pointer 0, so that unwinders stop here. */
    .globl ult_ctx_entry
    .hidden ult_ctx_entry
    .hidden ult_ctx_main
    .type ult_ctx_entry, %function
    .p2align 4
ult_ctx_entry:
    .cfi_startproc
    .cfi_undefined x30
    mov x29, #0
    mov x30, #0
    bl ult_ctx_main
    brk #1
    .cfi_endproc
    .size ult_ctx_entry, .-ult_ctx_entry
#endif

    .section .note.GNU-stack, "", %progbits
