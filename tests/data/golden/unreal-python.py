"""Makes an AnimSequence with face curves. Written by facesdk; run it in Unreal's editor.

In the Output Log: py "C:/lines/hello.py"
Without a window: UnrealEditor-Cmd Project.uproject -run=pythonscript -script="C:/lines/hello.py"
"""

import os
import re

import unreal

# Empty: called like this file.
NAME = 'probe'
FOLDER = '/Game/facesdk'
SKELETON = '/Game/MetaHumans/Common/Face/Face_Archetype_Skeleton'
RATE = (30000, 1001)
FRAMES = 3
EVENTS = '[{"time": 0.1000625, "name": "cue", "data": {"text": "left"}}, {"time": 1.0, "name": "end", "data": {}}]'

# Curve, frames that have a key (none named: all of them), values. Keys are joined by lines.
CURVES = (
    ('CTRL_expressions_browDownL', '', '0.392828494 0.406733662 0.39555952'),
    ('CTRL_expressions_browDownR', '', '0.92705214 0.923944592 0.752467453'),
    ('CTRL_expressions_browLateralL', '', '0.691038847 0.670524836 0.61440134'),
    ('CTRL_expressions_browLateralR', '', '0.64331305 0.475265741 0.30226022'),
    ('CTRL_expressions_browRaiseInL', '', '0.69922179 0.678583205 0.655326307'),
    ('CTRL_expressions_browRaiseInR', '', '0.246032968 0.117468797 0.0592268445'),
    ('CTRL_expressions_browRaiseOuterL', '', '0.370050967 0.256978959 0.370107204'),
    ('CTRL_expressions_browRaiseOuterR', '', '0.263114899 0.323878169 0.409677386'),
    ('CTRL_expressions_earUpL', '', '0.218763605 0.252192914 0.348588914'),
    ('CTRL_expressions_earUpR', '', '0.501529813 0.583577812 0.670415699'),
    ('CTRL_expressions_eyeBlinkL', '', '0.382926404 0.599437296 0.752276003'),
    ('CTRL_expressions_eyeBlinkR', '', '0.724379241 0.6820755 0.512842476'),
    ('CTRL_expressions_eyeCheekRaiseL', '', '0.743960738 0.816033542 0.831954777'),
    ('CTRL_expressions_eyeCheekRaiseR', '', '0.663402379 0.533150434 0.306814879'),
    ('CTRL_expressions_eyeFaceScrunchL', '', '0.927971482 0.891866267 0.841073871'),
    ('CTRL_expressions_eyeFaceScrunchR', '', '0.376975387 0.336221427 0.328094363'),
    ('CTRL_expressions_eyeLidPressL', '', '0.442098528 0.370496273 0.304231793'),
    ('CTRL_expressions_eyeLidPressR', '', '0.379104853 0.315081447 0.331959993'),
    ('CTRL_expressions_eyeLookDownL', '', '0.0534025244 0.0902498588 0.236164153'),
    ('CTRL_expressions_eyeLookDownR', '', '0.525481403 0.531640351 0.555355072'),
    ('CTRL_expressions_eyeLookLeftL', '', '0.313821614 0.551306546 0.77691853'),
    ('CTRL_expressions_eyeLookLeftR', '', '0.398565084 0.479698122 0.557438731'),
    ('CTRL_expressions_eyeLookRightL', '', '0.868328273 0.932902336 0.935320199'),
    ('CTRL_expressions_eyeLookRightR', '', '0.465533197 0.544009984 0.494963467'),
    ('CTRL_expressions_eyeLookUpL', '', '0.830634892 0.763467431 0.64300257'),
    ('CTRL_expressions_eyeLookUpR', '', '0.83254832 0.635874748 0.392042428'),
    ('CTRL_expressions_eyeLowerLidDownL', '', '0.287614137 0.224329799 0.165820897'),
    ('CTRL_expressions_eyeLowerLidDownR', '', '0.676098228 0.517846167 0.412517309'),
    ('CTRL_expressions_eyeLowerLidUpL', '', '0.232306361 0.203477696 0.184804142'),
    ('CTRL_expressions_eyeLowerLidUpR', '', '0.314467758 0.239605963 0.199053004'),
    ('CTRL_expressions_eyeParallelLookDirection', '', '0.567420661 0.69707942 0.840418518'),
    ('CTRL_expressions_eyePupilNarrowL', '', '0.136473581 0.22728689 0.335535049'),
    ('CTRL_expressions_eyePupilNarrowR', '', '0.532716453 0.713024735 0.808306158'),
    ('CTRL_expressions_eyePupilWideL', '', '0.575369835 0.638224065 0.69538933'),
    ('CTRL_expressions_eyePupilWideR', '', '0.470238298 0.465269029 0.412350774'),
    ('CTRL_expressions_eyeRelaxL', '', '0.949919105 0.842125118 0.58077246'),
    ('CTRL_expressions_eyeRelaxR', '', '0.704678714 0.618123055 0.498005629'),
    ('CTRL_expressions_eyeSquintInnerL', '', '0.590724111 0.384836853 0.210000917'),
    ('CTRL_expressions_eyeSquintInnerR', '', '0.622127652 0.582996249 0.549026787'),
    ('CTRL_expressions_eyeUpperLidUpL', '', '0.160037488 0.0608950704 0.0797179416'),
    ('CTRL_expressions_eyeUpperLidUpR', '', '0.242785454 0.262282401 0.516329169'),
    ('CTRL_expressions_eyeWidenL', '', '0.268717438 0.367416054 0.495568693'),
    ('CTRL_expressions_eyeWidenR', '', '0.239080757 0.349332303 0.472864866'),
    ('CTRL_expressions_eyelashesDownINL', '', '0.576076508 0.693003774 0.799754798'),
    ('CTRL_expressions_eyelashesDownINR', '', '0.218414426 0.324787647 0.413295478'),
    ('CTRL_expressions_eyelashesDownOUTL', '', '0.759016812 0.754249275 0.739604294'),
    ('CTRL_expressions_eyelashesDownOUTR', '', '0.808406711 0.824838817 0.768889725'),
    ('CTRL_expressions_eyelashesUpINL', '', '0.674599528 0.440105021 0.17628558'),
    ('CTRL_expressions_eyelashesUpINR', '', '0.879139066 0.811451137 0.731709242'),
    ('CTRL_expressions_eyelashesUpOUTL', '', '0.343136758 0.28564468 0.309592485'),
    ('CTRL_expressions_eyelashesUpOUTR', '', '0.321027309 0.242666975 0.182685405'),
    ('CTRL_expressions_jawBack', '', '0.265175164 0.264261007 0.376352251'),
    ('CTRL_expressions_jawChinCompressL', '', '0.0525939204 0.159369946 0.361986041'),
    ('CTRL_expressions_jawChinCompressR', '', '0.507439315 0.555539727 0.61447531'),
    ('CTRL_expressions_jawChinRaiseDL', '', '0.418750107 0.695545852 0.877414584'),
    ('CTRL_expressions_jawChinRaiseDR', '', '0.299559951 0.288618088 0.277114242'),
    ('CTRL_expressions_jawChinRaiseUL', '', '0.909472585 0.946718216 0.891089201'),
    ('CTRL_expressions_jawChinRaiseUR', '', '0.558007658 0.570936978 0.574755013'),
    ('CTRL_expressions_jawClenchL', '', '0.810799599 0.673354626 0.487970442'),
    ('CTRL_expressions_jawClenchR', '', '0.726459086 0.73130095 0.721946597'),
    ('CTRL_expressions_jawFwd', '', '0.245725349 0.164231434 0.10189458'),
    ('CTRL_expressions_jawLeft', '', '0.539375246 0.398341447 0.36466077'),
    ('CTRL_expressions_jawOpen', '', '0.15504694 0.142452016 0.153137535'),
    ('CTRL_expressions_jawOpenExtreme', '', '0.264175683 0.222579718 0.225306436'),
    ('CTRL_expressions_jawRight', '', '0.563329399 0.752973616 0.89985621'),
    ('CTRL_expressions_mouthCheekBlowL', '', '0.247489288 0.382613868 0.515697896'),
    ('CTRL_expressions_mouthCheekBlowR', '', '0.645289898 0.822693408 0.827726185'),
    ('CTRL_expressions_mouthCheekSuckL', '', '0.659455359 0.726609468 0.778042853'),
    ('CTRL_expressions_mouthCheekSuckR', '', '0.53873843 0.487112373 0.373007298'),
    ('CTRL_expressions_mouthCornerDepressL', '', '0.927556753 0.701650441 0.397025853'),
    ('CTRL_expressions_mouthCornerDepressR', '', '0.314493895 0.331547469 0.354698718'),
    ('CTRL_expressions_mouthCornerDownL', '', '0.51097995 0.284817815 0.147897899'),
    ('CTRL_expressions_mouthCornerDownR', '', '0.520061374 0.474813014 0.45152095'),
    ('CTRL_expressions_mouthCornerNarrowL', '', '0.0870290548 0.0597042255 0.187112048'),
    ('CTRL_expressions_mouthCornerNarrowR', '', '0.651456356 0.634386837 0.621077299'),
    ('CTRL_expressions_mouthCornerPullL', '', '0.301609039 0.449245185 0.616489947'),
    ('CTRL_expressions_mouthCornerPullR', '', '0.308701217 0.47774893 0.573603392'),
    ('CTRL_expressions_mouthCornerRounderDL', '', '0.681754947 0.81542933 0.908648312'),
    ('CTRL_expressions_mouthCornerRounderDR', '', '0.31412816 0.41501531 0.466477036'),
    ('CTRL_expressions_mouthCornerRounderUL', '', '0.787626624 0.762448609 0.717998564'),
    ('CTRL_expressions_mouthCornerRounderUR', '', '0.827530682 0.764444888 0.634177864'),
    ('CTRL_expressions_mouthCornerSharpenDL', '', '0.629846931 0.308017492 0.0793320835'),
    ('CTRL_expressions_mouthCornerSharpenDR', '', '0.798002124 0.700089276 0.604173839'),
    ('CTRL_expressions_mouthCornerSharpenUL', '', '0.284180492 0.242006958 0.338142067'),
    ('CTRL_expressions_mouthCornerSharpenUR', '', '0.211904302 0.152538359 0.130821615'),
    ('CTRL_expressions_mouthCornerUpL', '', '0.681160569 0.751730442 0.828184187'),
    ('CTRL_expressions_mouthCornerUpR', '', '0.0819324777 0.111273795 0.148907945'),
    ('CTRL_expressions_mouthCornerWideL', '', '0.534724593 0.62551254 0.701928079'),
    ('CTRL_expressions_mouthCornerWideR', '', '0.554262698 0.823109865 0.896080196'),
    ('CTRL_expressions_mouthDimpleL', '', '0.350628197 0.342106074 0.3239564'),
    ('CTRL_expressions_mouthDimpleR', '', '0.942071736 0.922246039 0.789412975'),
    ('CTRL_expressions_mouthDown', '', '0.612478197 0.597326219 0.566995144'),
    ('CTRL_expressions_mouthFunnelDL', '', '0.738360703 0.528289139 0.304904968'),
    ('CTRL_expressions_mouthFunnelDR', '', '0.695386112 0.662472665 0.664891183'),
    ('CTRL_expressions_mouthFunnelUL', '', '0.183242321 0.0990862548 0.0590407439'),
    ('CTRL_expressions_mouthFunnelUR', '', '0.406507969 0.32873702 0.401394814'),
    ('CTRL_expressions_mouthLeft', '', '0.113553442 0.143242344 0.210196003'),
    ('CTRL_expressions_mouthLipsBlowL', '', '0.244105741 0.253121763 0.301054895'),
    ('CTRL_expressions_mouthLipsBlowR', '', '0.596935093 0.646648705 0.69718039'),
    ('CTRL_expressions_mouthLipsPressL', '', '0.395200074 0.55505991 0.674396336'),
    ('CTRL_expressions_mouthLipsPressR', '', '0.729249656 0.651083589 0.496482611'),
    ('CTRL_expressions_mouthLipsPullDL', '', '0.736028731 0.788342476 0.811298907'),
    ('CTRL_expressions_mouthLipsPullDR', '', '0.578943193 0.457365006 0.282870591'),
    ('CTRL_expressions_mouthLipsPullUL', '', '0.849598944 0.781099021 0.700944245'),
    ('CTRL_expressions_mouthLipsPullUR', '', '0.324703544 0.322342753 0.342732608'),
    ('CTRL_expressions_mouthLipsPurseDL', '', '0.410858721 0.199244916 0.145015121'),
    ('CTRL_expressions_mouthLipsPurseDR', '', '0.412713796 0.385472357 0.403411925'),
    ('CTRL_expressions_mouthLipsPurseUL', '', '0.0509303696 0.133129463 0.372420788'),
    ('CTRL_expressions_mouthLipsPurseUR', '', '0.598969221 0.596901417 0.600827456'),
    ('CTRL_expressions_mouthLipsPushDL', '', '0.369715452 0.564800918 0.747288227'),
    ('CTRL_expressions_mouthLipsPushDR', '', '0.42094624 0.606335461 0.611159682'),
    ('CTRL_expressions_mouthLipsPushUL', '', '0.904887676 0.94051218 0.939599991'),
    ('CTRL_expressions_mouthLipsPushUR', '', '0.41065526 0.474208504 0.465444714'),
    ('CTRL_expressions_mouthLipsStickyLPh1', '', '0.791612864 0.728102863 0.637554586'),
    ('CTRL_expressions_mouthLipsStickyLPh2', '', '0.789239585 0.639068604 0.461461872'),
    ('CTRL_expressions_mouthLipsStickyLPh3', '', '0.212488592 0.176460311 0.143570215'),
    ('CTRL_expressions_mouthLipsStickyRPh1', '', '0.689966321 0.576432645 0.491942704'),
    ('CTRL_expressions_mouthLipsStickyRPh2', '', '0.217617765 0.23291415 0.429647028'),
    ('CTRL_expressions_mouthLipsStickyRPh3', '', '0.13887012 0.130060926 0.177243546'),
    ('CTRL_expressions_mouthLipsThickDL', '', '0.654262304 0.76065433 0.86143589'),
    ('CTRL_expressions_mouthLipsThickDR', '', '0.15024738 0.21116361 0.280166566'),
    ('CTRL_expressions_mouthLipsThickInwardDL', '', '0.603272736 0.720064878 0.776475906'),
    ('CTRL_expressions_mouthLipsThickInwardDR', '', '0.700011134 0.897659004 0.810809791'),
    ('CTRL_expressions_mouthLipsThickInwardUL', '', '0.411172062 0.389742464 0.346239388'),
    ('CTRL_expressions_mouthLipsThickInwardUR', '', '0.947933257 0.845560908 0.638439953'),
    ('CTRL_expressions_mouthLipsThickUL', '', '0.615103424 0.555622637 0.481049001'),
    ('CTRL_expressions_mouthLipsThickUR', '', '0.550753415 0.387015253 0.244035929'),
    ('CTRL_expressions_mouthLipsThinDL', '', '0.631857157 0.617761433 0.605395496'),
    ('CTRL_expressions_mouthLipsThinDR', '', '0.116055533 0.0562414527 0.0716725513'),
    ('CTRL_expressions_mouthLipsThinInwardDL', '', '0.301732332 0.330645561 0.515767395'),
    ('CTRL_expressions_mouthLipsThinInwardDR', '', '0.313754857 0.395744234 0.491131335'),
    ('CTRL_expressions_mouthLipsThinInwardUL', '', '0.264757752 0.329559445 0.403114438'),
    ('CTRL_expressions_mouthLipsThinInwardUR', '', '0.66602236 0.740045905 0.807821035'),
    ('CTRL_expressions_mouthLipsThinUL', '', '0.560541928 0.707849741 0.762620211'),
    ('CTRL_expressions_mouthLipsThinUR', '', '0.746180892 0.630923867 0.419826806'),
    ('CTRL_expressions_mouthLipsTightenDL', '', '0.786594033 0.801171601 0.775289774'),
    ('CTRL_expressions_mouthLipsTightenDR', '', '0.576187074 0.376445562 0.171061814'),
    ('CTRL_expressions_mouthLipsTightenUL', '', '0.716456532 0.602695942 0.485898882'),
    ('CTRL_expressions_mouthLipsTightenUR', '', '0.304726422 0.29348284 0.334995389'),
    ('CTRL_expressions_mouthLipsTogetherDL', '', '0.305350065 0.154757664 0.21561797'),
    ('CTRL_expressions_mouthLipsTogetherDR', '', '0.323444575 0.344792664 0.431829453'),
    ('CTRL_expressions_mouthLipsTogetherUL', '', '0.0567124262 0.143434748 0.296453267'),
    ('CTRL_expressions_mouthLipsTogetherUR', '', '0.581139863 0.604322195 0.630375504'),
    ('CTRL_expressions_mouthLipsTowardsDL', '', '0.471911162 0.694895983 0.849019408'),
    ('CTRL_expressions_mouthLipsTowardsDR', '', '0.558943033 0.612995625 0.656144917'),
    ('CTRL_expressions_mouthLipsTowardsUL', '', '0.930984676 0.946931481 0.906415164'),
    ('CTRL_expressions_mouthLipsTowardsUR', '', '0.489373237 0.485357732 0.414114535'),
    ('CTRL_expressions_mouthLowerLipBiteL', '', '0.756230831 0.640360415 0.499507576'),
    ('CTRL_expressions_mouthLowerLipBiteR', '', '0.691667795 0.471159399 0.302134514'),
    ('CTRL_expressions_mouthLowerLipDepressL', '', '0.181483537 0.133220002 0.0953276679'),
    ('CTRL_expressions_mouthLowerLipDepressR', '', '0.56888324 0.467522979 0.429966331'),
    ('CTRL_expressions_mouthLowerLipRollInL', '', '0.165308312 0.2788634 0.575512886'),
    ('CTRL_expressions_mouthLowerLipRollInR', '', '0.122829027 0.192532793 0.323077589'),
    ('CTRL_expressions_mouthLowerLipRollOutL', '', '0.653229296 0.800874293 0.905555606'),
    ('CTRL_expressions_mouthLowerLipRollOutR', '', '0.257756948 0.350583941 0.442290127'),
    ('CTRL_expressions_mouthLowerLipShiftLeft', '', '0.698806047 0.807058036 0.795432389'),
    ('CTRL_expressions_mouthLowerLipShiftRight', '', '0.657096982 0.699191868 0.735663056'),
    ('CTRL_expressions_mouthLowerLipTowardsTeethL', '', '0.463447094 0.408950001 0.323720545'),
    ('CTRL_expressions_mouthLowerLipTowardsTeethR', '', '0.911929846 0.716769159 0.468566835'),
    ('CTRL_expressions_mouthPressDL', '', '0.561587095 0.452777267 0.343171149'),
    ('CTRL_expressions_mouthPressDR', '', '0.479062498 0.299037486 0.176892564'),
    ('CTRL_expressions_mouthPressUL', '', '0.547646284 0.530392408 0.522393942'),
    ('CTRL_expressions_mouthPressUR', '', '0.0649608821 0.0626134574 0.161155194'),
    ('CTRL_expressions_mouthRight', '', '0.247003004 0.409202963 0.672884822'),
    ('CTRL_expressions_mouthSharpCornerPullL', '', '0.351730466 0.469576567 0.596079826'),
    ('CTRL_expressions_mouthSharpCornerPullR', '', '0.328513235 0.435739428 0.494662046'),
    ('CTRL_expressions_mouthStickyDC', '', '0.758270562 0.843987823 0.906773806'),
    ('CTRL_expressions_mouthStickyDINL', '', '0.263558984 0.341684401 0.401623279'),
    ('CTRL_expressions_mouthStickyDINR', '', '0.757515788 0.733672619 0.703109324'),
    ('CTRL_expressions_mouthStickyDOUTL', '', '0.794915676 0.752640963 0.671267748'),
    ('CTRL_expressions_mouthStickyDOUTR', '', '0.524579704 0.262017936 0.0826280266'),
    ('CTRL_expressions_mouthStickyUC', '', '0.812163234 0.748242676 0.683130085'),
    ('CTRL_expressions_mouthStickyUINL', '', '0.263891995 0.267562002 0.361153215'),
    ('CTRL_expressions_mouthStickyUINR', '', '0.214892656 0.178797916 0.159302562'),
    ('CTRL_expressions_mouthStickyUOUTL', '', '0.274307758 0.371825814 0.538288832'),
    ('CTRL_expressions_mouthStickyUOUTR', '', '0.0895736814 0.23700881 0.417617202'),
    ('CTRL_expressions_mouthStretchL', '', '0.602627993 0.652786493 0.69171083'),
    ('CTRL_expressions_mouthStretchLipsCloseL', '', '0.59708631 0.809616029 0.88224417'),
    ('CTRL_expressions_mouthStretchLipsCloseR', '', '0.698176682 0.743856966 0.761161387'),
    ('CTRL_expressions_mouthStretchR', '', '0.94878 0.922204256 0.824237764'),
    ('CTRL_expressions_mouthUp', '', '0.53302604 0.4441939 0.33765015'),
    ('CTRL_expressions_mouthUpperLipBiteL', '', '0.674772084 0.504738569 0.330615222'),
    ('CTRL_expressions_mouthUpperLipBiteR', '', '0.705800593 0.719134688 0.74171263'),
    ('CTRL_expressions_mouthUpperLipRaiseL', '', '0.134069934 0.0840764865 0.0584227964'),
    ('CTRL_expressions_mouthUpperLipRaiseR', '', '0.454640299 0.401278257 0.440826654'),
    ('CTRL_expressions_mouthUpperLipRollInL', '', '0.148686528 0.17911087 0.224905983'),
    ('CTRL_expressions_mouthUpperLipRollInR', '', '0.263891608 0.251001537 0.260920316'),
    ('CTRL_expressions_mouthUpperLipRollOutL', '', '0.684128046 0.861029267 0.929793715'),
    ('CTRL_expressions_mouthUpperLipRollOutR', '', '0.394784808 0.506004512 0.594457746'),
    ('CTRL_expressions_mouthUpperLipShiftLeft', '', '0.798978329 0.852087736 0.730903924'),
    ('CTRL_expressions_mouthUpperLipShiftRight', '', '0.722126365 0.759323061 0.783889532'),
    ('CTRL_expressions_mouthUpperLipTowardsTeethL', '', '0.490158916 0.385067046 0.255368561'),
    ('CTRL_expressions_mouthUpperLipTowardsTeethR', '', '0.826290309 0.552456439 0.324765056'),
    ('CTRL_expressions_neckDigastricDown', '', '0.459275305 0.313905805 0.201724961'),
    ('CTRL_expressions_neckDigastricUp', '', '0.390903175 0.2213061 0.156192541'),
    ('CTRL_expressions_neckMastoidContractL', '', '0.461114854 0.456872553 0.474174023'),
    ('CTRL_expressions_neckMastoidContractR', '', '0.051104378 0.135838822 0.324525148'),
    ('CTRL_expressions_neckStretchL', '', '0.667562485 0.66009748 0.653678656'),
    ('CTRL_expressions_neckStretchR', '', '0.419576198 0.572709978 0.715603828'),
    ('CTRL_expressions_neckSwallowPh1', '', '0.428005934 0.544149458 0.537939966'),
    ('CTRL_expressions_neckSwallowPh2', '', '0.852997422 0.924655616 0.947868943'),
    ('CTRL_expressions_neckSwallowPh3', '', '0.348744929 0.404973626 0.427534521'),
    ('CTRL_expressions_neckSwallowPh4', '', '0.746602654 0.695571244 0.633337915'),
    ('CTRL_expressions_neckThroatDown', '', '0.751397431 0.645684958 0.524931967'),
    ('CTRL_expressions_neckThroatExhale', '', '0.429418147 0.145938575 0.0635990351'),
    ('CTRL_expressions_neckThroatInhale', '', '0.716363728 0.638908684 0.574239969'),
    ('CTRL_expressions_neckThroatUp', '', '0.218525365 0.269549161 0.439925134'),
    ('CTRL_expressions_noseNasolabialDeepenL', '', '0.161049262 0.157653913 0.181996793'),
    ('CTRL_expressions_noseNasolabialDeepenR', '', '0.739582956 0.819981992 0.885634184'),
    ('CTRL_expressions_noseNostrilCompressL', '', '0.156527579 0.355735213 0.522327602'),
    ('CTRL_expressions_noseNostrilCompressR', '', '0.658642948 0.724066317 0.750205517'),
    ('CTRL_expressions_noseNostrilDepressL', '', '0.725496829 0.87601018 0.822401166'),
    ('CTRL_expressions_noseNostrilDepressR', '', '0.341785342 0.31455496 0.280205756'),
    ('CTRL_expressions_noseNostrilDilateL', '', '0.941871524 0.852512181 0.694673359'),
    ('CTRL_expressions_noseNostrilDilateR', '', '0.530164063 0.495626658 0.455888182'),
    ('CTRL_expressions_noseWrinkleL', '', '0.551261425 0.344005793 0.177374348'),
    ('CTRL_expressions_noseWrinkleR', '', '0.657035172 0.660628438 0.712728083'),
    ('CTRL_expressions_noseWrinkleUpperL', '', '0.0850915238 0.0531608723 0.0646966547'),
    ('CTRL_expressions_noseWrinkleUpperR', '', '0.36908713 0.397879899 0.52399683'),
    ('CTRL_expressions_teethBackD', '', '0.183636338 0.260837197 0.357577413'),
    ('CTRL_expressions_teethBackU', '', '0.280410051 0.306140691 0.338759363'),
    ('CTRL_expressions_teethDownD', '', '0.743985653 0.918314219 0.902593732'),
    ('CTRL_expressions_teethDownU', '', '0.542716563 0.644268215 0.690993965'),
    ('CTRL_expressions_teethFwdD', '', '0.72179985 0.596711159 0.418887317'),
    ('CTRL_expressions_teethFwdU', '', '0.763045609 0.778229475 0.773743093'),
    ('CTRL_expressions_teethLeftD', '', '0.478927583 0.317249209 0.162619531'),
    ('CTRL_expressions_teethLeftU', '', '0.693562865 0.62326324 0.552086473'),
    ('CTRL_expressions_teethRightD', '', '0.282118648 0.303524375 0.355618924'),
    ('CTRL_expressions_teethRightU', '', '0.300350696 0.178061962 0.19970122'),
    ('CTRL_expressions_teethUpD', '', '0.393417001 0.424423695 0.489142954'),
    ('CTRL_expressions_teethUpU', '', '0.0909064263 0.277205884 0.530957758'),
    ('CTRL_expressions_tongueBendDown', '', '0.645263553 0.649918377 0.654372334'),
    ('CTRL_expressions_tongueBendUp', '', '0.515389562 0.689086556 0.816742659'),
    ('CTRL_expressions_tongueDown', '', '0.546678305 0.622916162 0.50889498'),
    ('CTRL_expressions_tongueIn', '', '0.924992919 0.948194146 0.896188378'),
    ('CTRL_expressions_tongueLeft', '', '0.418045372 0.428335547 0.406489313'),
    ('CTRL_expressions_tongueNarrow', '', '0.700870514 0.611874223 0.511733472'),
    ('CTRL_expressions_tongueOut', '', '0.656297803 0.500116706 0.380735099'),
    ('CTRL_expressions_tonguePress', '', '0.130158186 0.0591289103 0.130151168'),
    ('CTRL_expressions_tongueRight', '', '0.610245347 0.539030492 0.500956416'),
    ('CTRL_expressions_tongueRoll', '', '0.188455999 0.31850493 0.568914652'),
    ('CTRL_expressions_tongueThick', '', '0.161498949 0.213189095 0.297217518'),
    ('CTRL_expressions_tongueThin', '', '0.73687458 0.844152749 0.913734615'),
    ('CTRL_expressions_tongueTipDown', '', '0.25701651 0.313645959 0.370040894'),
    ('CTRL_expressions_tongueTipLeft', '', '0.735101581 0.789670467 0.766479492'),
    ('CTRL_expressions_tongueTipRight', '', '0.832254529 0.86762929 0.671705484'),
    ('CTRL_expressions_tongueTipUp', '', '0.382086217 0.333005279 0.272321582'),
    ('CTRL_expressions_tongueTwistLeft', '', '0.897180259 0.736616313 0.540521801'),
    ('CTRL_expressions_tongueTwistRight', '', '0.478590131 0.412082613 0.347084522'),
    ('CTRL_expressions_tongueUp', '', '0.40095526 0.194000766 0.0920001641'),
    ('CTRL_expressions_tongueWide', '', '0.590153098 0.615980744 0.724689782'),
    ('HeadYaw', '', '-0.34728536 -0.33837235 -0.282150537'),
    ('HeadPitch', '', '-0.131349623 -0.0291174371 0.118695818'),
    ('HeadRoll', '', '-0.0795852542 -0.0119073736 0.0581394881'),
    ('NeckYaw', '', '-0.128580391 -0.0852486417 -0.0635626316'),
    ('NeckPitch', '', '0.249327123 0.28658548 0.315854698'),
    ('NeckRoll', '', '0.137770489 0.17968227 0.153583869'),
    ('LeftEyeYaw', '', '0.170959339 0.0371329635 -0.133605674'),
    ('LeftEyePitch', '', '0.206523493 0.189220279 0.155911878'),
    ('LeftEyeRoll', '', '-0.0576103888 -0.217325166 -0.323579431'),
    ('RightEyeYaw', '', '0.0213800892 -0.0518014953 -0.116410904'),
    ('RightEyePitch', '', '-0.187277019 -0.1605234 -0.0921727344'),
    ('RightEyeRoll', '', '-0.212983713 -0.241956547 -0.151773185'),
)

# Bone, and for every frame its turn away from rest about the axes of the mesh, whose face looks
# along +Y: a quaternion x y z w.
TURNS = (
)


def main(skeleton=SKELETON, folder=FOLDER, name=NAME):
    """The AnimSequence, new or filled anew, and saved."""
    skeleton = loaded_skeleton(skeleton)
    sequence = emptied(folder, name or file_name(), skeleton)
    controller = sequence.get_editor_property("controller")
    controller.open_bracket("facesdk", False)
    try:
        controller.set_frame_rate(unreal.FrameRate(*RATE), False)
        controller.set_number_of_frames(unreal.FrameNumber(max(FRAMES - 1, 1)), False)
        for bone, turns in TURNS:
            turn_bone(controller, skeleton, bone, numbers(turns))
    finally:
        controller.close_bracket(False)
    for curve, frames, values in CURVES:
        add_curve(sequence, curve, frames, values)
    if TURNS:
        keep_rate(sequence)
    unreal.EditorAssetLibrary.set_metadata_tag(sequence, "facesdk.events", EVENTS)
    unreal.EditorAssetLibrary.save_loaded_asset(sequence)
    unreal.log("facesdk: made " + sequence.get_path_name())
    return sequence


def file_name():
    """What this file is called, as far as an asset can be."""
    stem = os.path.splitext(os.path.basename(globals().get("__file__", "")))[0]
    return re.sub("[^A-Za-z0-9_]+", "_", stem).strip("_") or "Take_001"


def loaded_skeleton(path):
    """The skeleton at a path, or of the mesh there."""
    asset = unreal.load_asset(path)
    if asset is None:
        raise RuntimeError("facesdk: nothing at " + path + "; change SKELETON in this script")
    if isinstance(asset, unreal.Skeleton):
        return asset
    return asset.get_editor_property("skeleton")


def emptied(folder, name, skeleton):
    """The AnimSequence of this name without its curves, or a new one."""
    path = folder + "/" + name
    if unreal.EditorAssetLibrary.does_asset_exist(path):
        sequence = unreal.load_asset(path)
        unreal.AnimationLibrary.remove_all_curve_data(sequence)
        return sequence
    factory = unreal.AnimSequenceFactory()
    factory.set_editor_property("target_skeleton", skeleton)
    tools = unreal.AssetToolsHelpers.get_asset_tools()
    return tools.create_asset(name, folder, unreal.AnimSequence, factory)


def numbers(text):
    return [float(word) for word in text.split()]


def add_curve(sequence, curve, frames, values):
    """One float curve with its keys."""
    keys = [int(word) for word in frames.split()] if frames else range(FRAMES)
    times = [frame * RATE[1] / RATE[0] for frame in keys]
    library, kind = unreal.AnimationLibrary, unreal.RawCurveTrackTypes.RCT_FLOAT
    library.add_curve(sequence, curve, kind, False)
    if times:
        library.add_float_curve_keys(sequence, curve, times, numbers(values))


def keep_rate(sequence):
    """Compression samples bones at the rate of the clip."""
    rate = sequence.get_editor_property("platform_target_frame_rate")
    rate.set_editor_property("default", unreal.FrameRate(*RATE))
    sequence.set_editor_property("platform_target_frame_rate", rate)


def turn_bone(controller, skeleton, bone, turns):
    """Keys of one bone: its rest, turned; two frames at least."""
    pose = unreal.AnimPoseExtensions.get_reference_pose(skeleton)
    rest, world = (
        unreal.AnimPoseExtensions.get_ref_bone_pose(pose, bone, space)
        for space in (unreal.AnimPoseSpaces.LOCAL, unreal.AnimPoseSpaces.WORLD)
    )
    local = parts(rest.rotation)
    above = product(parts(world.rotation), inverse(local))
    keys = []
    for start in range(0, len(turns), 4):
        turned = product(product(inverse(above), turns[start : start + 4]), above)
        keys.append(unreal.Quat(*product(turned, local)))
    keys = keys * 2 if len(keys) == 1 else keys
    if keys:
        controller.add_bone_curve(bone, False)
        controller.set_bone_track_keys(
            bone, [rest.translation] * len(keys), keys, [rest.scale3d] * len(keys), False
        )


def parts(quaternion):
    return [quaternion.x, quaternion.y, quaternion.z, quaternion.w]


def inverse(q):
    return [-q[0], -q[1], -q[2], q[3]]


def product(a, b):
    """Two turns, b first."""
    return [
        a[3] * b[0] + a[0] * b[3] + a[1] * b[2] - a[2] * b[1],
        a[3] * b[1] - a[0] * b[2] + a[1] * b[3] + a[2] * b[0],
        a[3] * b[2] + a[0] * b[1] - a[1] * b[0] + a[2] * b[3],
        a[3] * b[3] - a[0] * b[0] - a[1] * b[1] - a[2] * b[2],
    ]


if __name__ == "__main__":
    main()
