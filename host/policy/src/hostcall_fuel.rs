//! How many bytes one call may carry between a guest and the host, beside the memory that the guest
//! has: wasmtime calls it hostcall fuel.

use crate::Limits;

/// Bytes a host call may carry beyond texts: list headers, keys, log lines.
const SLACK: usize = 64 * 1024;
/// What wasmtime says when it is used up. It keeps the type of that error to itself, so its words are
/// all there is to know it by; the test below runs into the real one.
const EXHAUSTED: &str = "too much data is being copied between the host and the guest: \
                         fuel allocated for hostcalls has been exhausted";

/// What a call needs that is shown `text_bytes` and answers with as much as it may.
pub(crate) fn of_call(limits: &Limits, text_bytes: usize) -> usize {
    limits.answer_bytes(text_bytes) as usize + text_bytes + SLACK
}

/// Whether this is why a guest had to stop.
pub(crate) fn is_exhausted(error: &wasmtime::Error) -> bool {
    error.root_cause().to_string() == EXHAUSTED
}

#[cfg(test)]
mod tests {
    use wasmtime::{
        Store, Trap,
        component::{Component, Linker, TypedFunc},
    };

    use super::*;
    use crate::engine;

    /// Says as many bytes as it is asked for; traps when they are more than its memory has.
    const GUEST: &str = r#"(component
        (core module $m
            (memory (export "memory") 8)
            (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 16))
            (func (export "say") (param i32) (result i32)
                (if (i32.gt_u (local.get 0) (i32.const 0x7fff0)) (then unreachable))
                (i32.store (i32.const 0) (i32.const 16))
                (i32.store (i32.const 4) (local.get 0))
                (i32.const 0)))
        (core instance $i (instantiate $m))
        (func (export "say") (param "bytes" u32) (result string)
            (canon lift (core func $i "say")
                (memory (core memory $i "memory")) (realloc (core func $i "realloc")))))"#;

    async fn say(bytes: u32) -> wasmtime::Result<usize> {
        let limits = Limits { output_bytes: 1000, ..Limits::default() };
        let engine = engine::on_demand(&limits)?;
        let component = Component::new(&engine, wat::parse_str(GUEST).unwrap())?;
        let mut store = Store::new(&engine, ());
        store.set_epoch_deadline(1);
        store.set_hostcall_fuel(of_call(&limits, 0));
        let instance = Linker::new(&engine).instantiate_async(&mut store, &component).await?;
        let say: TypedFunc<(u32,), (String,)> = instance.get_typed_func(&mut store, "say")?;
        Ok(say.call_async(&mut store, (bytes,)).await?.0.len())
    }

    #[tokio::test]
    async fn wasmtimes_words_for_it_are_known_and_those_of_traps_are_others() {
        let most = 1000 + SLACK as u32;
        assert_eq!(say(most).await.unwrap(), most as usize);
        let error = say(most + 1).await.unwrap_err();
        assert!(is_exhausted(&error), "another version of wasmtime says it differently: {error:?}");
        let trap = say(u32::MAX).await.unwrap_err();
        assert_eq!(trap.downcast_ref(), Some(&Trap::UnreachableCodeReached));
        assert!(!is_exhausted(&trap), "{trap:?}");
    }
}
