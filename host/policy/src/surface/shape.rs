//! How much of everything a component consists of, counted in one pass before it is validated or
//! compiled. A compiler's memory and time grow faster than some of these numbers; what is far
//! beyond what JavaScript and Python engines need is refused here, cheaply and by name.

use wasmparser::{
    BinaryReaderError, BlockType, ComponentAlias, CompositeInnerType, FuncType, FunctionBody,
    Operator, Parser, Payload, RecGroup, TypeRef,
};

use super::problem::{malformed, problem};
use crate::{Limits, UploadProblem};

/// Refuses a component that has more of something than it may have.
pub(super) fn check(bytes: &[u8], limits: &Limits) -> Result<(), UploadProblem> {
    let mut counts = Counts::new(limits);
    for payload in Parser::new(0).parse_all(bytes) {
        counts.payload(&payload.map_err(malformed)?)?;
    }
    Ok(())
}

/// What was counted so far.
struct Counts<'l> {
    limits: &'l Limits,
    /// One per module that is being read.
    modules: Vec<Module>,
    depth: u64,
    functions: u64,
    merges: u64,
    types: u64,
    segments: u64,
    parts: u64,
    names: u64,
    custom_sections: u64,
}

/// What is known of the core module that is being read.
#[derive(Default)]
struct Module {
    /// Parameters and results of its types; none for types that are not functions.
    types: Vec<(u64, u64)>,
    /// Types of its own functions.
    functions: Vec<u32>,
    /// Bodies read so far.
    bodies: usize,
}

/// Where an error of the parser and a refusal come together.
enum Stop {
    Malformed(BinaryReaderError),
    Refused(UploadProblem),
}

impl From<BinaryReaderError> for Stop {
    fn from(error: BinaryReaderError) -> Self {
        Self::Malformed(error)
    }
}

impl From<UploadProblem> for Stop {
    fn from(problem: UploadProblem) -> Self {
        Self::Refused(problem)
    }
}

type Counted = Result<(), Stop>;

impl<'l> Counts<'l> {
    fn new(limits: &'l Limits) -> Self {
        Self {
            limits,
            modules: Vec::new(),
            depth: 0,
            functions: 0,
            merges: 0,
            types: 0,
            segments: 0,
            parts: 0,
            names: 0,
            custom_sections: 0,
        }
    }

    fn payload(&mut self, payload: &Payload<'_>) -> Result<(), UploadProblem> {
        self.count(payload).map_err(|stop| match stop {
            Stop::Malformed(error) => malformed(error),
            Stop::Refused(problem) => problem,
        })
    }

    fn count(&mut self, payload: &Payload<'_>) -> Counted {
        match payload {
            Payload::Version { .. } => self.enter(),
            Payload::End(_) => {
                self.depth = self.depth.saturating_sub(1);
                self.modules.pop();
                Ok(())
            }
            Payload::TypeSection(section) => {
                for group in section.clone() {
                    self.core_types(&group?)?;
                }
                Ok(())
            }
            Payload::FunctionSection(section) => {
                let types: Vec<u32> = section.clone().into_iter().collect::<Result<_, _>>()?;
                add(&mut self.functions, types.len(), self.limits.upload_functions, FUNCTIONS)?;
                if let Some(module) = self.modules.last_mut() {
                    module.functions = types;
                }
                Ok(())
            }
            Payload::CodeSectionEntry(body) => self.body(body),
            Payload::CustomSection(_) => {
                let limit = self.limits.upload_custom_sections;
                Ok(add(&mut self.custom_sections, 1, limit, CUSTOM_SECTIONS)?)
            }
            other => self.count_lists(other),
        }
    }

    /// Sections whose length is what counts, and names.
    fn count_lists(&mut self, payload: &Payload<'_>) -> Counted {
        let limits = self.limits;
        let parts = |counts: &mut Self, more: u32| {
            add(&mut counts.parts, more as usize, limits.upload_parts, PARTS)
        };
        match payload {
            Payload::DataSection(section) => self.segments(section.count())?,
            Payload::ElementSection(section) => self.segments(section.count())?,
            Payload::ComponentTypeSection(section) => self.types(section.count() as usize)?,
            Payload::CoreTypeSection(section) => self.types(section.count() as usize)?,
            Payload::InstanceSection(section) => parts(self, section.count())?,
            Payload::ComponentInstanceSection(section) => parts(self, section.count())?,
            Payload::ComponentAliasSection(section) => {
                parts(self, section.count())?;
                for alias in section.clone() {
                    if let ComponentAlias::InstanceExport { name, .. }
                    | ComponentAlias::CoreInstanceExport { name, .. } = alias?
                    {
                        self.name(name)?;
                    }
                }
            }
            Payload::ComponentCanonicalSection(section) => parts(self, section.count())?,
            other => self.count_names(other)?,
        }
        Ok(())
    }

    fn count_names(&mut self, payload: &Payload<'_>) -> Counted {
        match payload {
            Payload::ImportSection(section) => {
                for import in section.clone().into_imports() {
                    let import = import?;
                    self.name(import.module)?;
                    self.name(import.name)?;
                    if let TypeRef::Func(_) = import.ty {
                        add(&mut self.functions, 1, self.limits.upload_functions, FUNCTIONS)?;
                    }
                }
            }
            Payload::ExportSection(section) => {
                for export in section.clone() {
                    self.name(export?.name)?;
                }
            }
            Payload::ComponentImportSection(section) => {
                for import in section.clone() {
                    self.name(import?.name.name)?;
                }
            }
            Payload::ComponentExportSection(section) => {
                for export in section.clone() {
                    self.name(export?.name.name)?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn enter(&mut self) -> Counted {
        self.modules.push(Module::default());
        add(&mut self.parts, 1, self.limits.upload_parts, PARTS)?;
        Ok(add(&mut self.depth, 1, self.limits.upload_depth, DEPTH)?)
    }

    fn types(&mut self, more: usize) -> Result<(), UploadProblem> {
        add(&mut self.types, more, self.limits.upload_types, TYPES)
    }

    fn segments(&mut self, more: u32) -> Result<(), UploadProblem> {
        add(&mut self.segments, more as usize, self.limits.upload_segments, SEGMENTS)
    }

    fn name(&mut self, name: &str) -> Result<(), UploadProblem> {
        within(name.len() as u64, self.limits.upload_name_bytes, NAME_BYTES)?;
        add(&mut self.names, 1, self.limits.upload_names, NAMES)
    }

    fn core_types(&mut self, group: &RecGroup) -> Counted {
        for sub in group.types() {
            self.types(1)?;
            let arity = match &sub.composite_type.inner {
                CompositeInnerType::Func(function) => self.signature(function)?,
                _ => (0, 0),
            };
            if let Some(module) = self.modules.last_mut() {
                module.types.push(arity);
            }
        }
        Ok(())
    }

    fn signature(&self, function: &FuncType) -> Result<(u64, u64), UploadProblem> {
        let (params, results) = (function.params().len() as u64, function.results().len() as u64);
        within(params + results, self.limits.upload_signature_values, SIGNATURE)?;
        Ok((params, results))
    }

    fn body(&mut self, body: &FunctionBody<'_>) -> Counted {
        let limits = self.limits;
        let size = body.range().len() as u64;
        within(size, limits.upload_function_bytes, FUNCTION_BYTES)?;
        let module = self.modules.last_mut();
        let (types, params) = module.map_or((&[][..], 0), Module::next_body);
        let mut locals = params;
        for local in body.get_locals_reader()? {
            locals = locals.saturating_add(local?.0.into());
            within(locals, limits.upload_function_locals, LOCALS)?;
        }
        let mut blocks = 1;
        let mut arity = 0;
        let mut operators = body.get_operators_reader()?;
        while !operators.eof() {
            let (more, block) = branches(&operators.read()?);
            blocks += more;
            if let Some(BlockType::FuncType(index)) = block {
                let (params, results) = types.get(index as usize).copied().unwrap_or_default();
                arity = arity.max(params + results);
            }
        }
        let merges = (locals + arity).saturating_mul(blocks);
        within(merges, limits.upload_function_merges, FUNCTION_MERGES)?;
        Ok(add(&mut self.merges, merges as usize, limits.upload_merges, MERGES)?)
    }
}

impl Module {
    /// The types, and how many parameters the next function body has.
    fn next_body(&mut self) -> (&[(u64, u64)], u64) {
        let index = self.functions.get(self.bodies).copied().unwrap_or_default();
        self.bodies += 1;
        let params = self.types.get(index as usize).map_or(0, |(params, _)| *params);
        (&self.types, params)
    }
}

/// Basic blocks that an instruction begins, and the type of the block it opens.
fn branches(operator: &Operator<'_>) -> (u64, Option<BlockType>) {
    match operator {
        Operator::Block { blockty } => (1, Some(*blockty)),
        Operator::Loop { blockty } | Operator::If { blockty } => (2, Some(*blockty)),
        Operator::Else | Operator::BrIf { .. } => (1, None),
        Operator::BrTable { targets } => (u64::from(targets.len()) + 1, None),
        _ => (0, None),
    }
}

/// What is counted: its code, and what it is called.
type TokenCounts = (&'static str, &'static str, &'static str);

const FUNCTIONS: TokenCounts = ("upload_too_many_functions", "functions", "upload_functions");
const FUNCTION_BYTES: TokenCounts =
    ("upload_function_too_large", "bytes in one function", "upload_function_bytes");
const LOCALS: TokenCounts =
    ("upload_too_many_locals", "locals and parameters in one function", "upload_function_locals");
const FUNCTION_MERGES: TokenCounts = (
    "upload_function_too_complex",
    "locals times blocks in one function",
    "upload_function_merges",
);
const MERGES: TokenCounts =
    ("upload_too_complex", "locals times blocks over all functions", "upload_merges");
const SIGNATURE: TokenCounts = (
    "upload_signature_too_long",
    "parameters and results in one function type",
    "upload_signature_values",
);
const TYPES: TokenCounts = ("upload_too_many_types", "types", "upload_types");
const SEGMENTS: TokenCounts =
    ("upload_too_many_segments", "data and element segments", "upload_segments");
const PARTS: TokenCounts =
    ("upload_too_many_parts", "modules, components, instances and aliases", "upload_parts");
const DEPTH: TokenCounts = ("upload_too_deep", "levels of components", "upload_depth");
const NAMES: TokenCounts = ("upload_too_many_names", "imports and exports", "upload_names");
const NAME_BYTES: TokenCounts =
    ("upload_name_too_long", "bytes in the name of an import or export", "upload_name_bytes");
const CUSTOM_SECTIONS: TokenCounts =
    ("upload_too_many_custom_sections", "custom sections", "upload_custom_sections");

fn add(count: &mut u64, more: usize, limit: u64, what: TokenCounts) -> Result<(), UploadProblem> {
    *count = count.saturating_add(more as u64);
    within(*count, limit, what)
}

fn within(count: u64, limit: u64, (code, what, name): TokenCounts) -> Result<(), UploadProblem> {
    if count <= limit {
        return Ok(());
    }
    let text = format!("the component has {count} {what} and may have {limit}");
    let mend = format!(
        "build it with --release from less code, or have the operator raise policies.limits.{name}"
    );
    Err(problem(code, text, mend))
}

#[cfg(test)]
mod tests;
