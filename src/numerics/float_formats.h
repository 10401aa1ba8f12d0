// Every float narrower than FP32, as storage types; arithmetic happens in float.
#pragma once

#include "numerics/bf16.h"
#include "numerics/e8m0.h"
#include "numerics/fp16.h"
#include "numerics/fp4_e2m1.h"
#include "numerics/fp6_e2m3.h"
#include "numerics/fp6_e3m2.h"
#include "numerics/fp8_e4m3fn.h"
#include "numerics/fp8_e4m3fnuz.h"
#include "numerics/fp8_e5m2.h"
#include "numerics/fp8_e5m2fnuz.h"
