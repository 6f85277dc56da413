//! A bounded list that keeps a few items in place, and gets a box for more.

use std::fmt;
use std::ops::{Deref, DerefMut};

use arrayvec::ArrayVec;

/// At most `MOST` of something, the first `FEW` in place.
#[derive(Clone)]
pub(crate) enum Few<T: Copy, const FEW: usize, const MOST: usize> {
    InPlace(ArrayVec<T, FEW>),
    Boxed(Box<ArrayVec<T, MOST>>),
}

impl<T: Copy, const FEW: usize, const MOST: usize> Few<T, FEW, MOST> {
    pub(crate) fn is_full(&self) -> bool {
        self.len() == MOST
    }

    /// Adds one, if there is room for it.
    pub(crate) fn push(&mut self, one: T) {
        if let Self::InPlace(few) = self {
            if few.try_push(one).is_ok() {
                return;
            }
            *self = Self::Boxed(Box::new(few.iter().copied().collect()));
        }
        if let Self::Boxed(many) = self {
            // One too many is left out: that is what the bound is for.
            let _kept = many.try_push(one).is_ok();
        }
    }
}

impl<T: Copy, const FEW: usize, const MOST: usize> Deref for Few<T, FEW, MOST> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        match self {
            Self::InPlace(few) => few,
            Self::Boxed(many) => many,
        }
    }
}

impl<T: Copy, const FEW: usize, const MOST: usize> DerefMut for Few<T, FEW, MOST> {
    fn deref_mut(&mut self) -> &mut [T] {
        match self {
            Self::InPlace(few) => few,
            Self::Boxed(many) => many,
        }
    }
}

impl<T: Copy, const FEW: usize, const MOST: usize> Default for Few<T, FEW, MOST> {
    fn default() -> Self {
        Self::InPlace(ArrayVec::new())
    }
}

impl<T: Copy + PartialEq, const FEW: usize, const MOST: usize> PartialEq for Few<T, FEW, MOST> {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl<T: Copy + Eq, const FEW: usize, const MOST: usize> Eq for Few<T, FEW, MOST> {}

impl<T: Copy + fmt::Debug, const FEW: usize, const MOST: usize> fmt::Debug for Few<T, FEW, MOST> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}
