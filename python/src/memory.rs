//! Memory in huge pages, as NumPy has it: a fresh page of 4 KiB costs more than the arithmetic on what it holds.

use std::alloc::{GlobalAlloc, Layout, System};

/// Bytes from which huge pages are asked for; NumPy's own threshold.
const LARGE: usize = 4 << 20;
/// Bytes of the pages that advice is about.
const PAGE: usize = 4096;

/// The system's allocator, with advice about large blocks.
pub(crate) struct HugePages;

// SAFETY: every call is handed to `System` with the arguments that came in, and its answer is handed back; advice about
// the pages behind a block changes neither the block nor what it holds.
#[allow(unsafe_code, reason = "the trait's methods are unsafe")]
unsafe impl GlobalAlloc for HugePages {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promises are those that `System` asks for.
        advised(unsafe { System.alloc(layout) }, layout.size())
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as above.
        advised(unsafe { System.alloc_zeroed(layout) }, layout.size())
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: as above; every block came from `System`.
        advised(unsafe { System.realloc(block, layout, size) }, size)
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: as above; every block came from `System`.
        unsafe { System.dealloc(block, layout) }
    }
}

/// Asks for huge pages behind a large block; a system that has none says no, which is fine.
#[cfg(target_os = "linux")]
#[inline]
fn advised(block: *mut u8, size: usize) -> *mut u8 {
    #[cold]
    #[allow(unsafe_code, reason = "a system call")]
    fn advise(block: *mut u8, size: usize) {
        let skipped = block.align_offset(PAGE);
        // SAFETY: the range starts at a page within the block and ends with the block, so all of it is mapped, and this
        // advice leaves the contents of memory as they are.
        unsafe { libc::madvise(block.wrapping_add(skipped).cast(), size - skipped, libc::MADV_HUGEPAGE) };
    }
    if size >= LARGE && !block.is_null() {
        advise(block, size);
    }
    block
}

#[cfg(not(target_os = "linux"))]
fn advised(block: *mut u8, _: usize) -> *mut u8 {
    block
}
