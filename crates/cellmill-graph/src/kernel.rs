//! The SIMD kernels, and the only unsafe code of this crate.
//!
//! Every kernel is written once over fixed lanes and compiled for several instruction sets; the
//! order of its operations is the same in all of them, so the bits are too.

pub(crate) mod layout;

/// An instruction set that a kernel may be compiled for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Isa {
    /// What the target always has (SSE2 on x86-64, NEON on aarch64).
    Portable,
    /// AVX2 with FMA.
    Avx2,
    /// AVX-512 F, BW, DQ and VL.
    Avx512,
}

/// The widest instruction set of this machine.
pub fn isa() -> Isa {
    available().last().copied().unwrap_or(Isa::Portable)
}

/// The instruction sets of this machine, the narrowest first.
pub fn available() -> Vec<Isa> {
    let mut sets = vec![Isa::Portable];
    #[cfg(target_arch = "x86_64")]
    {
        if std::arch::is_x86_feature_detected!("avx2") && std::arch::is_x86_feature_detected!("fma") {
            sets.push(Isa::Avx2);
            if std::arch::is_x86_feature_detected!("avx512f")
                && std::arch::is_x86_feature_detected!("avx512bw")
                && std::arch::is_x86_feature_detected!("avx512dq")
                && std::arch::is_x86_feature_detected!("avx512vl")
            {
                sets.push(Isa::Avx512);
            }
        }
    }
    sets
}
