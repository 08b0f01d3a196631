/// What a case expects, held against what its script has led to.
#pragma once

#include <string>

#include "core/testing/case_worker.hpp"
#include "core/testing/cases.hpp"

namespace weir {

/// What differs, in lines; empty if nothing does.
std::string check(const CaseExpectation& expectation, const Pipeline& pipeline, const CaseOutcome& outcome);

/// The same of dead letters where none is expected.
std::string check_no_letters(const Pipeline& pipeline, const CaseOutcome& outcome);

/// What came where an expectation's rows should have, in its columns, as a file of rows has it.
std::string rows_text(const CaseExpectation& expectation, const CaseOutcome& outcome);

/// Where two runs of the same script differ, though they may not at all. `commits`: also in what is counted of nodes as
/// their rows are committed; how often that is goes by the batches.
std::string compare(const CaseOutcome& one, const CaseOutcome& other, const Pipeline& pipeline, bool commits);

}  // namespace weir
