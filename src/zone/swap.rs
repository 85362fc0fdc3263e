//! A value that is replaced as a whole while others read it.

use std::ops::Deref;
use std::sync::Arc;

use arc_swap::ArcSwap;

/// Holds one version of a value; readers never wait, and keep the version that they began with.
#[derive(Debug)]
pub struct Swap<T>(ArcSwap<T>);

impl<T> Swap<T> {
    /// Holds a first version.
    pub fn new(value: T) -> Self {
        Self(ArcSwap::from_pointee(value))
    }

    /// The present version.
    pub fn load(&self) -> impl Deref<Target = Arc<T>> {
        self.0.load()
    }

    /// Replaces the version for those who load from now on.
    pub fn store(&self, value: T) {
        self.0.store(Arc::new(value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_keeps_the_version_that_it_began_with() {
        let swap = Swap::new(1);
        let first = swap.load();
        swap.store(2);
        assert_eq!((**first, **swap.load()), (1, 2));
    }
}
