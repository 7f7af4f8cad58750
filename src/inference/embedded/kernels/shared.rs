//! One buffer that several threads write.
#![expect(unsafe_code, reason = "disjoint parts of one buffer")]

use super::lanes::{LANES, Lanes};

/// Start of a buffer whose disjoint parts are written by several threads.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shared<T>(*mut T, usize);

// SAFETY: a `Shared` is only a pointer and a length; every use states why the part it touches has one user.
unsafe impl<T: Send> Sync for Shared<T> {}

impl<T> Shared<T> {
    pub(super) fn new(all: &mut [T]) -> Self {
        Self(all.as_mut_ptr(), all.len())
    }

    /// `None` of a buffer without room.
    pub(super) fn of_any(all: &mut [T]) -> Option<Self> {
        (!all.is_empty()).then(|| Self::new(all))
    }

    /// Address of an element, and how many there are from it on.
    pub(super) fn from(&self, start: usize) -> (*mut T, usize) {
        assert!(start < self.1, "a row lies outside its buffer");
        (self.0.wrapping_add(start), self.1 - start)
    }

    /// # Safety
    /// Nobody else uses these elements while the result lives, and the buffer outlives it.
    #[expect(clippy::mut_from_ref, reason = "disjoint parts of one buffer")]
    pub(super) unsafe fn part(&self, start: usize, len: usize) -> &mut [T] {
        assert!(start + len <= self.1, "a row lies outside its buffer");
        // SAFETY: the range was checked; the caller vouches for exclusive use.
        unsafe { std::slice::from_raw_parts_mut(self.0.add(start), len) }
    }
}

impl Shared<Lanes> {
    /// Address of the first value, and how many there are.
    pub(super) fn values(&self) -> (*const f32, usize) {
        (self.0.cast_const().cast(), self.1 * LANES)
    }
}
