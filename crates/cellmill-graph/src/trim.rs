//! Memory that was freed goes back to the system.

/// Gives back what glibc's allocator keeps of freed memory.
///
/// Gigabytes are freed in pieces of a few megabytes at most, of which glibc keeps most for later use;
/// the next large vectors come from the system and not from there, so that the program would hold more
/// than the budget says. Called between the steps of a run, and within the neighbour search, where
/// planning for ten million points leaves 0.2 GB behind. Other allocators give back by themselves:
/// there this does nothing.
pub fn give_back() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: malloc_trim may be called at any time from any thread, and touches no memory that is
    // in use.
    unsafe {
        libc::malloc_trim(0);
    }
}
