/* What the commands that read a study's results share. */
#ifndef LMU_CLI_STUDY_FIT_H
#define LMU_CLI_STUDY_FIT_H

#include "base/field.h"

extern const FieldTable study_fit_table; /* of FitOptions */

#endif
