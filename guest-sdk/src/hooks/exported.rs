//! A policy as its component's exports see it.

use std::marker::PhantomData;

/// What a component exports in a policy's name.
#[derive(Debug)]
pub struct Exported<P>(PhantomData<P>);
