//! Memory that was freed goes back to the system between steps.

/// Gives back what glibc's allocator keeps of freed memory.
///
/// A stage frees gigabytes in pieces of a few megabytes at most, of which glibc keeps most for later
/// use; the next step's large vectors come from the system and not from there, so that the program
/// would hold more than the budget says: of two threads' buffers of some ten megabytes, 0.2 GB. Other allocators give back by themselves: there this does
/// nothing.
pub fn give_back() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: malloc_trim may be called at any time from any thread, and touches no memory that is
    // in use.
    unsafe {
        libc::malloc_trim(0);
    }
}
