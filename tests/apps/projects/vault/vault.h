#include "macros/all.h"
