//! The numbers of a stored tensor: here, or with an engine that has put them in an order of its own.

use std::fmt::Debug;
use std::sync::{Arc, PoisonError, RwLock};

/// Numbers of a tensor, row-major, shared by all networks of a graph. An engine that has them in another order may keep
/// them in this one's stead, so that they lie in memory once.
#[derive(Debug, Clone)]
pub struct Values(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    len: usize,
    place: RwLock<Place>,
}

#[derive(Debug, Clone)]
enum Place {
    Here(Arc<Vec<f32>>),
    With(Arc<dyn Keeper>),
}

/// Has the numbers of a tensor in another order.
pub(crate) trait Keeper: Debug + Send + Sync {
    /// The numbers, row-major.
    fn values(&self) -> Vec<f32>;
}

impl Values {
    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len
    }

    /// True when there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.len == 0
    }

    /// The numbers; put back into order where an engine keeps them.
    #[must_use]
    pub fn get(&self) -> Arc<Vec<f32>> {
        match self.place() {
            Place::Here(values) => values,
            Place::With(keeper) => Arc::new(keeper.values()),
        }
    }

    /// Leaves the numbers to `keeper`, which has the same.
    pub(crate) fn leave_to(&self, keeper: Arc<dyn Keeper>) {
        *self.0.place.write().unwrap_or_else(PoisonError::into_inner) = Place::With(keeper);
    }

    /// Bytes of the numbers that lie here.
    pub(crate) fn bytes(&self) -> usize {
        match self.place() {
            Place::Here(values) => size_of_val(values.as_slice()),
            Place::With(_) => 0,
        }
    }

    /// Where the numbers are managed: no two tensors that exist have the same address.
    pub(crate) fn address(&self) -> usize {
        Arc::as_ptr(&self.0).addr()
    }

    fn place(&self) -> Place {
        self.0.place.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl From<Vec<f32>> for Values {
    fn from(values: Vec<f32>) -> Self {
        Self(Arc::new(Shared { len: values.len(), place: RwLock::new(Place::Here(Arc::new(values))) }))
    }
}

impl PartialEq for Values {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.get() == other.get()
    }
}
