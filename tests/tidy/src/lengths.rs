//! How long a file and a function may grow. The bounds only ever go down.

use proc_macro2::Span;
use syn::{spanned::Spanned, visit::Visit};

use crate::tree::files;

/// Lines of a Rust file.
const FILE_LINES_MAX: usize = 450;
/// Lines of a function, from its signature to its closing brace.
const FUNCTION_LINES_MAX: usize = 50;

/// Functions of one file that are too long, as `name (lines)`.
#[derive(Default)]
struct Long(Vec<String>);

impl Long {
    fn measure(&mut self, name: &syn::Ident, from: Span, to: Span) {
        let lines = to.end().line - from.start().line + 1;
        if lines > FUNCTION_LINES_MAX {
            self.0.push(format!("{name} ({lines})"));
        }
    }
}

impl<'ast> Visit<'ast> for Long {
    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        self.measure(&item.sig.ident, item.sig.span(), item.block.span());
        syn::visit::visit_item_fn(self, item);
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        self.measure(&item.sig.ident, item.sig.span(), item.block.span());
        syn::visit::visit_impl_item_fn(self, item);
    }
}

#[test]
fn files_stay_readable() {
    let lines = |text: &str| text.lines().count();
    let long = files(".rs").into_iter().filter(|source| lines(&source.text) > FILE_LINES_MAX);
    let long: Vec<_> = long.map(|s| format!("{} ({})", s.path, lines(&s.text))).collect();
    assert!(long.is_empty(), "split what has over {FILE_LINES_MAX} lines:\n{}", long.join("\n"));
}

#[test]
fn functions_fit_a_screen() {
    let long = files(".rs").into_iter().flat_map(|source| {
        let parsed =
            syn::parse_file(&source.text).unwrap_or_else(|e| panic!("{}: {e}", source.path));
        let mut long = Long::default();
        long.visit_file(&parsed);
        long.0.into_iter().map(move |name| format!("{}: {name}", source.path)).collect::<Vec<_>>()
    });
    let long: Vec<_> = long.collect();
    assert!(
        long.is_empty(),
        "split what has over {FUNCTION_LINES_MAX} lines:\n{}",
        long.join("\n")
    );
}
