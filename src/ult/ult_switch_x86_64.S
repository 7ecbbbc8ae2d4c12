/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Context switch for x86-64, System V ABI. What the ABI asks a callee to keep goes onto the old stack, the stack pointer is
 * exchanged, and the same is taken from the new stack. It ends with a jump: a `ret` to an address that no `call` on this path
 * pushed is mispredicted every time (15 ns instead of 5). Signal mask and the other floating-point state are not switched.
 *
 * Frame, from the saved stack pointer up (ult_stack.c builds the first one):
 *     0 mxcsr (4), x87 control word (2), padding   8 r15   16 r14   24 r13   32 r12   40 rbx   48 rbp   56 resume address
 */
#if defined(__x86_64__)
    .text

/* void ult_ctx_switch(void **save_sp, void *to_sp) */
    .globl ult_ctx_switch
    .hidden ult_ctx_switch
    .type ult_ctx_switch, @function
    .p2align 4
ult_ctx_switch:
    .cfi_startproc
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    subq $8, %rsp
    stmxcsr (%rsp)
    fnstcw 4(%rsp)
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    ldmxcsr (%rsp)
    fldcw 4(%rsp)
    addq $8, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    popq %rcx
    jmp *%rcx
    .cfi_endproc
    .size ult_ctx_switch, .-ult_ctx_switch

/* Where a fresh stack starts: rsp is 16-aligned, rbp and the word above are 0, so that unwinders stop here. */
    .globl ult_ctx_entry
    .hidden ult_ctx_entry
    .hidden ult_ctx_main
    .type ult_ctx_entry, @function
    .p2align 4
ult_ctx_entry:
    .cfi_startproc
    .cfi_undefined rip
    xorl %ebp, %ebp
    call ult_ctx_main
    ud2
    .cfi_endproc
    .size ult_ctx_entry, .-ult_ctx_entry
#endif

    .section .note.GNU-stack, "", %progbits
